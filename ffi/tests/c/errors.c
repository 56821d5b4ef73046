/* What goes wrong has a status and a message, per thread, and leaves the engine usable. */
#include "expect.h"

#include <pthread.h>

static void *fail_elsewhere(void *unused) {
    vision_model_t *model = NULL;
    EXPECT_TEXT(vision_last_error_message(), "");
    EXPECT_STATUS(vision_model_load("no/such/elsewhere", NULL, &model), VISION_STATUS_FILE_NOT_FOUND);
    EXPECT(strstr(vision_last_error_message(), "no/such/elsewhere"));
    return unused;
}

static void expect_refused(const vision_engine_t *engine, const void *data, size_t size, vision_status_t expected) {
    const vision_image_t image = {
        .struct_size = sizeof image, .kind = VISION_IMAGE_ENCODED, .data = data, .data_size = size};
    vision_result_t *result = NULL;
    EXPECT_STATUS(vision_engine_classify(engine, &image, NULL, &result), expected);
    EXPECT(result == NULL);
    EXPECT(strlen(vision_last_error_message()) > 0);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_model_t *model = NULL;
    EXPECT_STATUS(vision_model_load("no/such/model", NULL, &model), VISION_STATUS_FILE_NOT_FOUND);
    EXPECT(model == NULL);
    EXPECT(strstr(vision_last_error_message(), "no/such/model"));

    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, fail_elsewhere, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(strstr(vision_last_error_message(), "no/such/model"));

    vision_engine_options_t options;
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    options.device = "cuda:0";
    vision_engine_t *engine = NULL;
    model = load_model(MODEL);
    vision_status_t status = vision_engine_new(model, &options, &engine);
    EXPECT(status == VISION_STATUS_OK || status == VISION_STATUS_DEVICE_UNAVAILABLE);
    if (status == VISION_STATUS_OK) EXPECT_OK(vision_engine_free(engine));
    EXPECT_OK(vision_model_free(model));

    engine = new_engine(MODEL, 0);
    const char text[] = "this is no picture at all";
    expect_refused(engine, text, sizeof text, VISION_STATUS_IMAGE_FORMAT_UNKNOWN);
    expect_refused(engine, NULL, 0, VISION_STATUS_IMAGE_FORMAT_UNKNOWN);

    vision_image_t image = image_at("no/such/picture.jpg");
    vision_result_t *result = NULL;
    EXPECT_STATUS(vision_engine_classify(engine, &image, NULL, &result), VISION_STATUS_FILE_NOT_FOUND);
    image.struct_size = 0;
    EXPECT_STATUS(vision_engine_classify(engine, &image, NULL, &result), VISION_STATUS_INVALID_ARGUMENT);
    image = image_at(PICTURE);
    image.kind = 0;
    EXPECT_STATUS(vision_engine_classify(engine, &image, NULL, &result), VISION_STATUS_INVALID_ARGUMENT);

    const uint8_t pixels[12] = {0};
    const vision_image_t cut_off = {.struct_size = sizeof cut_off,
                                    .kind = VISION_IMAGE_PIXELS,
                                    .data = pixels,
                                    .data_size = sizeof pixels,
                                    .width = 3,
                                    .height = 2,
                                    .format = VISION_PIXEL_FORMAT_RGB};
    EXPECT_STATUS(vision_engine_classify(engine, &cut_off, NULL, &result), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(result == NULL);

    /* The engine goes on, until it is closed. */
    image = image_at(PICTURE);
    EXPECT_OK(vision_engine_classify(engine, &image, NULL, &result));
    EXPECT_OK(vision_result_free(result));
    EXPECT_OK(vision_engine_close(engine));
    EXPECT_OK(vision_engine_close(engine));
    EXPECT_STATUS(vision_engine_classify(engine, &image, NULL, &result), VISION_STATUS_ENGINE_CLOSED);
    EXPECT_OK(vision_engine_free(engine));
    return 0;
}

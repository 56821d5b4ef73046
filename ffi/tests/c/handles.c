/* Handles that are stale, foreign, of another type or freed twice are refused, and nothing breaks. */
#include "expect.h"

#define EXPECT_BAD(call) EXPECT_STATUS(call, VISION_STATUS_BAD_HANDLE)

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    const vision_image_t image = image_at(PICTURE);
    const char *text = NULL;

    vision_model_t *model = load_model(MODEL);
    vision_model_t *stale = model;
    EXPECT_OK(vision_model_free(model));
    EXPECT_BAD(vision_model_free(stale));
    EXPECT_TEXT(vision_last_error_message(), "model: this vision_model_t was freed, or never made");
    EXPECT_BAD(vision_model_name(stale, &text));
    vision_engine_t *engine = NULL;
    EXPECT_BAD(vision_engine_new(stale, NULL, &engine));

    /* Its place is used again; the old handle still means the old model. */
    model = load_model(MODEL);
    EXPECT(model != stale);
    EXPECT_BAD(vision_model_name(stale, &text));
    EXPECT_BAD(vision_model_free(stale));
    EXPECT_OK(vision_model_name(model, &text));

    /* Another type, and addresses. */
    EXPECT_BAD(vision_engine_device((vision_engine_t *)model, &text));
    EXPECT_TEXT(vision_last_error_message(), "engine: expected a vision_engine_t, found vision_model_t");
    EXPECT_BAD(vision_engine_free((vision_engine_t *)model));
    int local = 0;
    EXPECT_BAD(vision_model_free((vision_model_t *)&local));
    void *heap = malloc(64);
    EXPECT_BAD(vision_result_free((vision_result_t *)heap));
    free(heap);
    for (uintptr_t bit = 0; bit < 64; ++bit)
        EXPECT_BAD(vision_model_name((vision_model_t *)((uintptr_t)model ^ (uintptr_t)1 << bit), &text));

    engine = new_engine(MODEL, 0);
    vision_result_t *result = NULL;
    vision_pending_t *pending = NULL;
    EXPECT_OK(vision_engine_classify(engine, &image, NULL, &result));
    EXPECT_OK(vision_engine_submit(engine, &image, NULL, &pending));
    EXPECT_BAD(vision_result_free((vision_result_t *)pending));
    EXPECT_BAD(vision_pending_free((vision_pending_t *)result));

    /* Results and pending requests outlive the engine; the engine is gone. */
    EXPECT_OK(vision_engine_free(engine));
    EXPECT_BAD(vision_engine_free(engine));
    EXPECT_BAD(vision_engine_close(engine));
    vision_result_t *late = NULL;
    EXPECT_BAD(vision_engine_classify(engine, &image, NULL, &late));
    EXPECT_OK(vision_pending_wait(pending, VISION_WAIT_FOREVER, &late));
    vision_prediction_t before, after;
    EXPECT_OK(vision_result_prediction(result, 0, &before));
    EXPECT_OK(vision_result_prediction(late, 0, &after));
    EXPECT_TEXT(after.label, before.label);

    EXPECT_OK(vision_pending_free(pending));
    EXPECT_BAD(vision_pending_wait(pending, 0, &late));
    EXPECT_BAD(vision_pending_cancel(pending));
    EXPECT_BAD(vision_pending_free(pending));
    EXPECT_OK(vision_result_free(result));
    EXPECT_BAD(vision_result_prediction(result, 0, &before));
    EXPECT_BAD(vision_result_free(result));
    EXPECT_OK(vision_result_free(late));
    EXPECT_OK(vision_model_free(model));
    return 0;
}

/* Options: defaults, structs of other sizes, values that mean nothing. */
#include "expect.h"

/* As a header of a later version might have it. */
typedef struct {
    vision_engine_options_t known;
    uint64_t later;
} later_options_t;

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_engine_options_t options;
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    EXPECT(options.struct_size == sizeof options);
    EXPECT(options.device == NULL);
    EXPECT(options.max_batch_size == 8);
    EXPECT(options.queue_capacity == 256);
    EXPECT(options.max_pixels == 33000000);

    vision_request_options_t request;
    EXPECT_OK(vision_request_options_init(&request, sizeof request));
    EXPECT(request.task == VISION_TASK_CLASSIFY && request.top_k == 5 && request.deadline_us == 0);

    vision_preprocess_t preprocess;
    EXPECT_OK(vision_preprocess_init(&preprocess, sizeof preprocess));
    EXPECT(preprocess.resize == VISION_RESIZE_SHORTER_SIDE && preprocess.shorter_side == 256);
    EXPECT(preprocess.crop_height == 224 && preprocess.filter == VISION_FILTER_BILINEAR);

    /* Too small for any version: refused, nothing written. */
    options.max_batch_size = 77;
    EXPECT_STATUS(vision_engine_options_init(&options, 8), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(options.max_batch_size == 77);
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));

    vision_model_t *model = load_model(MODEL);
    vision_engine_t *engine = NULL;

    /* A struct that nobody filled. */
    vision_engine_options_t zeros;
    memset(&zeros, 0, sizeof zeros);
    EXPECT_STATUS(vision_engine_new(model, &zeros, &engine), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(strstr(vision_last_error_message(), "vision_engine_options_init()"));

    /* A program compiled against a later header: fine as long as it uses nothing new. */
    later_options_t later;
    memset(&later, 0xff, sizeof later);
    EXPECT_OK(vision_engine_options_init(&later.known, sizeof later));
    EXPECT(later.known.struct_size == sizeof later && later.later == 0);
    EXPECT_OK(vision_engine_new(model, &later.known, &engine));
    EXPECT_OK(vision_engine_free(engine));
    later.later = 1;
    engine = NULL;
    EXPECT_STATUS(vision_engine_new(model, &later.known, &engine), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(engine == NULL);

    options.max_batch_size = 0;
    EXPECT_STATUS(vision_engine_new(model, &options, &engine), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    options.device = "abacus";
    EXPECT_STATUS(vision_engine_new(model, &options, &engine), VISION_STATUS_INVALID_ARGUMENT);
    options.device = "caf\xe9";
    EXPECT_STATUS(vision_engine_new(model, &options, &engine), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(strstr(vision_last_error_message(), "options.device is not UTF-8"));
    EXPECT(engine == NULL);
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    options.tuning = "no/such/file.json";
    EXPECT_STATUS(vision_engine_new(model, &options, &engine), VISION_STATUS_FILE_NOT_FOUND);
    options.tuning = __FILE__;
    EXPECT_STATUS(vision_engine_new(model, &options, &engine), VISION_STATUS_TUNING_MISMATCH);
    options.tuning = NULL;
    options.precise = 1;
    EXPECT_OK(vision_engine_new(model, &options, &engine));
    EXPECT_OK(vision_engine_free(engine));
    engine = NULL;
    EXPECT_OK(vision_model_free(model));

    /* Loading with other preprocessing, head and labels. */
    model = load_model(MODEL);
    size_t count = 0;
    EXPECT_OK(vision_model_label_count(model, &count));
    EXPECT_OK(vision_model_preprocess(model, &preprocess, sizeof preprocess));
    EXPECT_OK(vision_model_free(model));
    const char **labels = malloc(count * sizeof *labels);
    EXPECT(labels);
    for (size_t i = 0; i < count; ++i) labels[i] = i == 1 ? "second" : "other";
    preprocess.apply_orientation = 1;
    vision_load_options_t load;
    EXPECT_OK(vision_load_options_init(&load, sizeof load));
    load.preprocess = &preprocess;
    load.labels = labels;
    load.label_count = (uint32_t)count;
    load.head = VISION_HEAD_SIGMOID;
    EXPECT_OK(vision_model_load(MODEL, &load, &model));
    free(labels);
    memset(&preprocess, 0, sizeof preprocess);
    EXPECT_OK(vision_model_preprocess(model, &preprocess, sizeof preprocess));
    EXPECT(preprocess.apply_orientation == 1);
    const char *label = NULL;
    EXPECT_OK(vision_model_label(model, 1, &label));
    EXPECT_TEXT(label, "second");
    EXPECT_OK(vision_model_free(model));
    load.labels = NULL;
    load.label_count = 0;
    load.head = 99;
    EXPECT_STATUS(vision_model_load(MODEL, &load, &model), VISION_STATUS_INVALID_ARGUMENT);
    return 0;
}

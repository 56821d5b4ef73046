/* NULL in every place: refused by name where it is not allowed, and no output is touched on failure. */
#include "expect.h"

#define UNTOUCHED(type) ((type *)(uintptr_t)0x1234)
#define EXPECT_INVALID(call) EXPECT_STATUS(call, VISION_STATUS_INVALID_ARGUMENT)
#define EXPECT_MESSAGE(expected) EXPECT_TEXT(vision_last_error_message(), expected)

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    EXPECT_OK(vision_model_free(NULL));
    EXPECT_OK(vision_engine_free(NULL));
    EXPECT_OK(vision_pending_free(NULL));
    EXPECT_OK(vision_result_free(NULL));

    vision_model_t *model = UNTOUCHED(vision_model_t);
    vision_engine_t *engine = UNTOUCHED(vision_engine_t);
    vision_pending_t *pending = UNTOUCHED(vision_pending_t);
    vision_result_t *result = UNTOUCHED(vision_result_t);
    const char *text = "untouched";
    size_t size = 77;
    uint32_t number = 77;
    const float *values = NULL;
    vision_prediction_t prediction = {.class_index = 77};
    vision_tensor_t tensor = {.rank = 77};
    vision_timing_t timing = {.total_ns = 77};
    vision_metrics_t metrics = {.arrived_total = 77};
    vision_preprocess_t preprocess = {.struct_size = 77};
    const vision_image_t image = image_at(PICTURE);

    EXPECT_INVALID(vision_model_load(NULL, NULL, &model));
    EXPECT_MESSAGE("path is NULL");
    EXPECT_INVALID(vision_model_load(MODEL, NULL, NULL));
    EXPECT_MESSAGE("model is NULL");
    EXPECT_INVALID(vision_model_name(NULL, &text));
    EXPECT_INVALID(vision_model_describe(NULL, &text));
    EXPECT_INVALID(vision_model_label_count(NULL, &size));
    EXPECT_INVALID(vision_model_label(NULL, 0, &text));
    EXPECT_INVALID(vision_model_preprocess(NULL, &preprocess, sizeof preprocess));
    EXPECT_INVALID(vision_load_options_init(NULL, sizeof(vision_load_options_t)));
    EXPECT_INVALID(vision_engine_options_init(NULL, sizeof(vision_engine_options_t)));
    EXPECT_INVALID(vision_request_options_init(NULL, sizeof(vision_request_options_t)));
    EXPECT_INVALID(vision_preprocess_init(NULL, sizeof(vision_preprocess_t)));
    EXPECT_MESSAGE("preprocess is NULL");

    EXPECT_INVALID(vision_engine_new(NULL, NULL, &engine));
    EXPECT_MESSAGE("model is NULL");
    EXPECT_INVALID(vision_engine_close(NULL));
    EXPECT_INVALID(vision_engine_device(NULL, &text));
    EXPECT_INVALID(vision_engine_max_batch_size(NULL, &number));
    EXPECT_INVALID(vision_engine_describe(NULL, &text));
    EXPECT_INVALID(vision_engine_metrics(NULL, &metrics, sizeof metrics));
    EXPECT_INVALID(vision_engine_metrics_prometheus(NULL, NULL, 0, &size));
    EXPECT_INVALID(vision_engine_memory_plan(NULL, "default", NULL, 0, &size));
    EXPECT_INVALID(vision_engine_classify(NULL, &image, NULL, &result));
    EXPECT_MESSAGE("engine is NULL");
    EXPECT_INVALID(vision_engine_embed(NULL, &image, NULL, &result));
    EXPECT_INVALID(vision_engine_outputs(NULL, &image, NULL, &result));
    EXPECT_INVALID(vision_engine_run(NULL, NULL, 0, NULL, &result));
    EXPECT_INVALID(vision_engine_submit(NULL, &image, NULL, &pending));
    EXPECT_INVALID(vision_engine_submit_tensors(NULL, NULL, 0, NULL, &pending));

    EXPECT_INVALID(vision_pending_wait(NULL, 0, &result));
    EXPECT_INVALID(vision_pending_on_complete(NULL, NULL, NULL));
    EXPECT_MESSAGE("callback is NULL");
    EXPECT_INVALID(vision_pending_cancel(NULL));
    EXPECT_INVALID(vision_result_prediction_count(NULL, &size));
    EXPECT_INVALID(vision_result_prediction(NULL, 0, &prediction));
    EXPECT_INVALID(vision_result_embedding(NULL, &values, &size));
    EXPECT_INVALID(vision_result_output_count(NULL, &size));
    EXPECT_INVALID(vision_result_output(NULL, 0, &tensor));
    EXPECT_INVALID(vision_result_batch_size(NULL, &number));
    EXPECT_INVALID(vision_result_timing(NULL, &timing, sizeof timing));
    EXPECT_INVALID(vision_result_traceparent(NULL, &text));

    /* NULL beside handles that are good. */
    vision_model_t *good_model = load_model(MODEL);
    EXPECT_INVALID(vision_engine_new(good_model, NULL, NULL));
    EXPECT_INVALID(vision_model_name(good_model, NULL));
    EXPECT_INVALID(vision_model_describe(good_model, NULL));
    EXPECT_INVALID(vision_model_label_count(good_model, NULL));
    EXPECT_INVALID(vision_model_label(good_model, 0, NULL));
    EXPECT_INVALID(vision_model_preprocess(good_model, NULL, sizeof preprocess));
    EXPECT_INVALID(vision_model_label(good_model, (size_t)-1, &text));
    vision_engine_t *good_engine = new_engine(MODEL, 0);
    EXPECT_INVALID(vision_engine_device(good_engine, NULL));
    EXPECT_INVALID(vision_engine_max_batch_size(good_engine, NULL));
    EXPECT_INVALID(vision_engine_describe(good_engine, NULL));
    EXPECT_INVALID(vision_engine_metrics(good_engine, NULL, sizeof metrics));
    EXPECT_INVALID(vision_engine_metrics_prometheus(good_engine, NULL, 0, NULL));
    EXPECT_INVALID(vision_engine_classify(good_engine, NULL, NULL, &result));
    EXPECT_MESSAGE("image is NULL");
    EXPECT_INVALID(vision_engine_classify(good_engine, &image, NULL, NULL));
    EXPECT_MESSAGE("result is NULL");
    EXPECT_INVALID(vision_engine_submit(good_engine, NULL, NULL, &pending));
    EXPECT_INVALID(vision_engine_submit(good_engine, &image, NULL, NULL));
    EXPECT_MESSAGE("pending is NULL");
    EXPECT_INVALID(vision_engine_run(good_engine, NULL, 1, NULL, &result));
    EXPECT_MESSAGE("inputs is NULL");
    EXPECT_INVALID(vision_engine_run(good_engine, &tensor, 1, NULL, &result));
    EXPECT_MESSAGE("inputs[0].name is NULL");
    EXPECT_INVALID(vision_engine_submit_tensors(good_engine, NULL, 1, NULL, &pending));

    vision_result_t *good_result = NULL;
    EXPECT_OK(vision_engine_classify(good_engine, &image, NULL, &good_result));
    EXPECT_INVALID(vision_result_prediction_count(good_result, NULL));
    EXPECT_INVALID(vision_result_prediction(good_result, 0, NULL));
    EXPECT_INVALID(vision_result_prediction(good_result, (size_t)-1, &prediction));
    EXPECT_INVALID(vision_result_embedding(good_result, NULL, &size));
    EXPECT_INVALID(vision_result_embedding(good_result, &values, NULL));
    EXPECT_INVALID(vision_result_output_count(good_result, NULL));
    EXPECT_INVALID(vision_result_output(good_result, 0, NULL));
    EXPECT_INVALID(vision_result_batch_size(good_result, NULL));
    EXPECT_INVALID(vision_result_timing(good_result, NULL, sizeof timing));
    EXPECT_INVALID(vision_result_traceparent(good_result, NULL));
    EXPECT_INVALID(vision_result_timing(good_result, &timing, 8));
    EXPECT_STATUS(vision_result_embedding(good_result, &values, &size), VISION_STATUS_OUTPUT_MISSING);

    vision_pending_t *good_pending = NULL;
    EXPECT_OK(vision_engine_submit(good_engine, &image, NULL, &good_pending));
    EXPECT_INVALID(vision_pending_wait(good_pending, 0, NULL));
    EXPECT_OK(vision_pending_free(good_pending));

    EXPECT(model == UNTOUCHED(vision_model_t));
    EXPECT(engine == UNTOUCHED(vision_engine_t));
    EXPECT(pending == UNTOUCHED(vision_pending_t));
    EXPECT(result == UNTOUCHED(vision_result_t));
    EXPECT_TEXT(text, "untouched");
    EXPECT(size == 77 && number == 77 && values == NULL);
    EXPECT(prediction.class_index == 77 && tensor.rank == 77);
    EXPECT(timing.total_ns == 77 && metrics.arrived_total == 77 && preprocess.struct_size == 77);

    EXPECT_OK(vision_result_free(good_result));
    EXPECT_OK(vision_engine_free(good_engine));
    EXPECT_OK(vision_model_free(good_model));
    return 0;
}

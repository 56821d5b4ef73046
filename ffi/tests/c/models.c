/* Several models in one engine: loaded, named by requests, swapped, unloaded; and whether all are ready. */
#include "expect.h"

static void expect_models(const vision_engine_t *engine, const char *expected) {
    char text[64] = "untouched";
    size_t length = 0;
    EXPECT_OK(vision_engine_models(engine, text, 3, &length));
    EXPECT_TEXT(text, "untouched");
    EXPECT(length == strlen(expected));
    EXPECT_OK(vision_engine_models(engine, text, sizeof text, &length));
    EXPECT_TEXT(text, expected);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_engine_t *engine = new_engine(MODEL, 0);
    vision_model_t *model = load_model(MODEL);
    const vision_image_t image = image_at(PICTURE);
    vision_result_t *result = NULL;

    uint32_t is_ready = 0;
    char reason[64] = "untouched";
    EXPECT_OK(vision_engine_readiness(engine, reason, sizeof reason, &is_ready));
    EXPECT(is_ready == 1 && reason[0] == '\0');
    EXPECT_OK(vision_engine_readiness(engine, NULL, 0, &is_ready));
    EXPECT_STATUS(vision_engine_readiness(engine, NULL, 1, &is_ready), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_readiness(engine, reason, sizeof reason, NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_readiness(NULL, NULL, 0, &is_ready), VISION_STATUS_INVALID_ARGUMENT);

    EXPECT_OK(vision_engine_load(engine, "other", model, NULL));
    EXPECT_STATUS(vision_engine_load(engine, "other", model, NULL), VISION_STATUS_INVALID_ARGUMENT);
    expect_models(engine, "default\nother");
    vision_request_options_t options;
    EXPECT_OK(vision_request_options_init(&options, sizeof options));
    EXPECT(options.model == NULL);
    options.model = "other";
    EXPECT_OK(vision_engine_classify(engine, &image, &options, &result));
    EXPECT_OK(vision_result_free(result));
    options.model = "none";
    EXPECT_STATUS(vision_engine_classify(engine, &image, &options, &result), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(strstr(vision_last_error_message(), "\"none\" is not loaded"));

    vision_metrics_t metrics;
    EXPECT_OK(vision_engine_model_metrics(engine, "other", &metrics, sizeof metrics));
    EXPECT(metrics.delivered_total == 1 && metrics.version == 1 && metrics.is_ready == 1);
    EXPECT(metrics.cold_path_total == 0 && metrics.self_tests_failed_total == 0);
    EXPECT(metrics.cache_hits_total == 0 && metrics.cache_entries == 0);
    EXPECT(metrics.plan_host_bytes > metrics.memory_bytes && metrics.plan_device_bytes == 0);
    char plan[4096];
    size_t plan_length = 0;
    EXPECT_OK(vision_engine_memory_plan(engine, "other", plan, sizeof plan, &plan_length));
    EXPECT(plan_length > 0 && plan[0] == '{' && strstr(plan, "\"weights\"") != NULL);
    EXPECT_STATUS(vision_engine_memory_plan(engine, "none", NULL, 0, &plan_length),
                  VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_OK(vision_engine_metrics(engine, &metrics, sizeof metrics));
    EXPECT(metrics.arrived_total == 0);
    EXPECT_STATUS(vision_engine_model_metrics(engine, "none", &metrics, sizeof metrics),
                  VISION_STATUS_INVALID_ARGUMENT);

    EXPECT_OK(vision_engine_swap(engine, "other", model));
    EXPECT_STATUS(vision_engine_swap(engine, "none", model), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_OK(vision_engine_model_metrics(engine, "other", &metrics, sizeof metrics));
    EXPECT(metrics.version == 2 && metrics.delivered_total == 0);
    EXPECT_OK(vision_model_free(model));
    options.model = "other";
    EXPECT_OK(vision_engine_classify(engine, &image, &options, &result));
    EXPECT_OK(vision_result_free(result));

    EXPECT_OK(vision_engine_unload(engine, "other"));
    EXPECT_STATUS(vision_engine_unload(engine, "other"), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_unload(engine, "default"), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_classify(engine, &image, &options, &result), VISION_STATUS_INVALID_ARGUMENT);
    expect_models(engine, "default");

    EXPECT_STATUS(vision_engine_load(engine, NULL, NULL, NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_load(engine, "x", NULL, NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_swap(engine, "default", NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_unload(engine, NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_models(engine, NULL, 1, NULL), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_model_metrics(engine, NULL, &metrics, 8), VISION_STATUS_INVALID_ARGUMENT);

    /* Not ready any more, and why, cut off to fit. */
    EXPECT_OK(vision_engine_close(engine));
    EXPECT_OK(vision_engine_readiness(engine, reason, sizeof reason, &is_ready));
    EXPECT(is_ready == 0 && strstr(reason, "closed"));
    EXPECT_OK(vision_engine_readiness(engine, reason, 4, &is_ready));
    EXPECT(strlen(reason) == 3);
    EXPECT_OK(vision_engine_free(engine));

    /* What does not hold is refused before it is taken. */
    vision_engine_options_t tight;
    EXPECT_OK(vision_engine_options_init(&tight, sizeof tight));
    EXPECT(tight.prove == 1 && tight.self_test_every_us > 0 && tight.memory_limit == 0);
    tight.device = "cpu";
    tight.memory_limit = 1000;
    model = load_model(MODEL);
    EXPECT_STATUS(vision_engine_new(model, &tight, &engine), VISION_STATUS_OUT_OF_MEMORY);
    EXPECT_OK(vision_model_free(model));
    return 0;
}

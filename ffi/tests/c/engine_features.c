/* What the engine promises beyond answers: priority, tenant, deadline, cancel, refusals that say when to try
 * again, timing, traceparent, metrics that add up. The same scene in every language. */
#include "expect.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* A batch of four that nobody fills up waits for an hour, so two requests fill the queue until it is closed. */
static vision_engine_t *waiting_engine(const char *model_path) {
    const uint32_t buckets[] = {4};
    const vision_tenant_weight_t weights[] = {{.name = "gold", .weight = 3}};
    vision_engine_options_t options;
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    options.device = "cpu";
    options.max_batch_size = 4;
    options.queue_capacity = 2;
    options.max_queue_delay_us = 3600u * 1000000u;
    options.window = VISION_WINDOW_THROUGHPUT;
    options.batch_buckets = buckets;
    options.batch_bucket_count = 1;
    options.tenant_weights = weights;
    options.tenant_weight_count = 1;
    vision_model_t *model = load_model(model_path);
    vision_engine_t *engine = NULL;
    EXPECT_OK(vision_engine_new(model, &options, &engine));
    EXPECT_OK(vision_model_free(model));
    return engine;
}

static void expect_parts_to_add_up(const vision_result_t *result) {
    vision_timing_t timing;
    EXPECT_OK(vision_result_timing(result, &timing, sizeof timing));
    const uint64_t parts = timing.queue_ns + timing.decode_ns + timing.preprocess_ns + timing.batch_wait_ns +
                           timing.compute_ns + timing.postprocess_ns;
    const uint64_t apart = parts > timing.total_ns ? parts - timing.total_ns : timing.total_ns - parts;
    EXPECT(timing.total_ns > 0 && apart * 100 <= timing.total_ns);
}

static uint64_t refused(const vision_metrics_t *metrics) {
    return metrics->refused_queue_full_total + metrics->refused_bytes_full_total +
           metrics->refused_too_costly_total + metrics->refused_deadline_infeasible_total +
           metrics->refused_closed_total + metrics->refused_cancelled_total +
           metrics->refused_deadline_exceeded_total + metrics->refused_backend_stuck_total +
           metrics->refused_backend_lost_total;
}

static void expect_metrics(const vision_engine_t *engine) {
    vision_metrics_t metrics;
    EXPECT_OK(vision_engine_metrics(engine, &metrics, sizeof metrics));
    EXPECT(metrics.arrived_total == 4 && metrics.delivered_total == 1 && metrics.in_flight == 0);
    EXPECT(metrics.refused_queue_full_total == 1 && metrics.refused_cancelled_total == 1);
    EXPECT(metrics.refused_deadline_infeasible_total + metrics.refused_deadline_exceeded_total == 1);
    EXPECT(metrics.arrived_total == metrics.delivered_total + refused(&metrics) + metrics.in_flight);
    EXPECT(metrics.batches_total == 1 && metrics.images_total == 1 && metrics.padding_images_total == 3);
    EXPECT(metrics.total_seconds.count == 1 && metrics.total_seconds.sum > 0);
    EXPECT(metrics.batch_size_images.ends[0] == 1 && metrics.batch_size_images.buckets[0] == 1);
    EXPECT(metrics.queued == 0 && metrics.encoded_bytes == 0 && metrics.memory_bytes > 0);

    /* A program of an older header gets what it knows, one of a newer header zeros. */
    EXPECT_STATUS(vision_engine_metrics(engine, &metrics, 8), VISION_STATUS_INVALID_ARGUMENT);
    struct {
        vision_metrics_t known;
        uint64_t later;
    } newer = {.later = 1};
    EXPECT_OK(vision_engine_metrics(engine, &newer.known, sizeof newer));
    EXPECT(newer.known.arrived_total == 4 && newer.later == 0);

    size_t length = 0, again = 0;
    char none = 'x';
    EXPECT_OK(vision_engine_metrics_prometheus(engine, NULL, 0, &length));
    EXPECT(length > 1000);
    EXPECT_OK(vision_engine_metrics_prometheus(engine, &none, 1, &again));
    EXPECT(again == length && none == 'x');
    char *text = malloc(length + 1);
    EXPECT(text);
    EXPECT_OK(vision_engine_metrics_prometheus(engine, text, length, &again));
    EXPECT_OK(vision_engine_metrics_prometheus(engine, text, length + 1, &again));
    EXPECT(strlen(text) == length);
    EXPECT(strstr(text, "libvision_requests_refused_total{") && strstr(text, "reason=\"queue_full\"} 1\n"));
    free(text);
    EXPECT_STATUS(vision_engine_metrics_prometheus(engine, NULL, 1, &again), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_STATUS(vision_engine_metrics_prometheus(engine, NULL, 0, NULL), VISION_STATUS_INVALID_ARGUMENT);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_engine_t *engine = waiting_engine(MODEL);
    const vision_image_t image = image_at(PICTURE);
    vision_pending_t *first = NULL, *second = NULL, *none = NULL;
    vision_result_t *result = NULL;

    vision_request_options_t options;
    EXPECT_OK(vision_request_options_init(&options, sizeof options));
    EXPECT(options.priority == VISION_PRIORITY_NORMAL && options.tenant == NULL && options.traceparent == NULL);
    options.priority = VISION_PRIORITY_HIGH;
    options.tenant = "gold";
    options.traceparent = TRACEPARENT;
    EXPECT_OK(vision_engine_submit(engine, &image, &options, &first));
    EXPECT_OK(vision_request_options_init(&options, sizeof options));
    options.tenant = "unnamed before";
    options.traceparent = "malformed, and ignored";
    EXPECT_OK(vision_engine_submit(engine, &image, &options, &second));

    /* No room: refused at once, with when to try again. */
    EXPECT_STATUS(vision_engine_submit(engine, &image, NULL, &none), VISION_STATUS_QUEUE_FULL);
    EXPECT(vision_last_error_retry_after_us() > 0 && none == NULL);
    EXPECT(vision_status_is_retryable(VISION_STATUS_QUEUE_FULL) == 1);

    EXPECT_OK(vision_pending_cancel(second));
    EXPECT_STATUS(vision_pending_wait(second, VISION_WAIT_FOREVER, &result), VISION_STATUS_CANCELLED);
    EXPECT(vision_last_error_retry_after_us() == 0 && vision_status_is_retryable(VISION_STATUS_CANCELLED) == 0);

    options.traceparent = NULL;
    options.deadline_us = 1;
    const vision_status_t late = vision_engine_classify(engine, &image, &options, &result);
    EXPECT(late == VISION_STATUS_DEADLINE_INFEASIBLE || late == VISION_STATUS_DEADLINE_EXCEEDED);
    EXPECT(vision_status_is_retryable(late) == 1);

    /* Closing answers what was accepted, in one batch that is filled up to the bucket. */
    EXPECT_OK(vision_engine_close(engine));
    EXPECT_OK(vision_pending_wait(first, VISION_WAIT_FOREVER, &result));
    expect_parts_to_add_up(result);
    const char *traceparent = NULL;
    EXPECT_OK(vision_result_traceparent(result, &traceparent));
    EXPECT(traceparent != NULL);
    EXPECT_TEXT(traceparent, TRACEPARENT);
    expect_metrics(engine);

    EXPECT_OK(vision_result_free(result));
    EXPECT_OK(vision_pending_free(first));
    EXPECT_OK(vision_pending_free(second));
    EXPECT_OK(vision_engine_free(engine));

    /* Nothing was said: none comes back. */
    engine = new_engine(MODEL, 0);
    EXPECT_OK(vision_engine_classify(engine, &image, NULL, &result));
    EXPECT_OK(vision_result_traceparent(result, &traceparent));
    EXPECT(traceparent == NULL);
    expect_parts_to_add_up(result);
    EXPECT_OK(vision_result_free(result));
    options.deadline_us = 0;
    options.priority = 3;
    EXPECT_STATUS(vision_engine_classify(engine, &image, &options, &result), VISION_STATUS_INVALID_ARGUMENT);
    options.priority = VISION_PRIORITY_LOW;
    options.tenant = "caf\xe9";
    EXPECT_STATUS(vision_engine_classify(engine, &image, &options, &result), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT(strstr(vision_last_error_message(), "options.tenant is not UTF-8"));
    EXPECT_OK(vision_engine_free(engine));
    return 0;
}

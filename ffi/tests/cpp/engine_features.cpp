// The scene of ffi/tests/c/engine_features.c in C++.
#include "expect.hpp"
#include "libvision.hpp"

#include <cstdlib>
#include <iostream>

namespace {

constexpr const char *traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

template <class Function> vision::Error error_of(Function function) {
    try {
        function();
    } catch (const vision::Error &error) {
        return error;
    }
    std::cerr << "an error was expected, and nothing was thrown\n";
    std::exit(1);
}

void expect_parts_to_add_up(const vision_timing_t &timing) {
    const std::uint64_t parts = timing.queue_ns + timing.decode_ns + timing.preprocess_ns + timing.batch_wait_ns +
                                timing.compute_ns + timing.postprocess_ns;
    const std::uint64_t apart = parts > timing.total_ns ? parts - timing.total_ns : timing.total_ns - parts;
    EXPECT(timing.total_ns > 0 && apart * 100 <= timing.total_ns);
}

} // namespace

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    const std::vector<std::uint32_t> buckets{4};
    const vision_tenant_weight_t gold{"gold", 3, 0};
    vision::EngineOptions options;
    options.device = "cpu";
    options.max_batch_size = 4;
    options.queue_capacity = 2;
    options.max_queue_delay_us = 3600ull * 1000000ull;
    options.window = VISION_WINDOW_THROUGHPUT;
    options.batch_buckets = buckets.data();
    options.batch_bucket_count = 1;
    options.tenant_weights = &gold;
    options.tenant_weight_count = 1;
    vision::Engine engine(vision::Model(argv[1]), options);
    const vision::Image image = vision::Image::path(argv[2]);

    vision::RequestOptions request;
    request.priority = VISION_PRIORITY_HIGH;
    request.tenant = "gold";
    request.traceparent = traceparent;
    vision::Pending first = engine.submit(image, request);
    request.tenant = "unnamed before";
    request.traceparent = "malformed, and ignored";
    vision::Pending second = engine.submit(image, request);

    const vision::Error full = error_of([&] { engine.submit(image); });
    EXPECT(full.status() == VISION_STATUS_QUEUE_FULL && full.is_retryable());
    EXPECT(full.retry_after() && full.retry_after()->count() > 0);

    second.cancel();
    const vision::Error cancelled = error_of([&] { second.wait(); });
    EXPECT(cancelled.status() == VISION_STATUS_CANCELLED && !cancelled.is_retryable() && !cancelled.retry_after());

    request.deadline_us = 1;
    const vision::Error late = error_of([&] { engine.classify(image, request); });
    EXPECT(late.status() == VISION_STATUS_DEADLINE_INFEASIBLE || late.status() == VISION_STATUS_DEADLINE_EXCEEDED);
    EXPECT(late.is_retryable());

    engine.close();
    const vision::Result result = first.wait();
    EXPECT(result.traceparent() == std::string_view(traceparent));
    expect_parts_to_add_up(result.timing());

    const vision_metrics_t metrics = engine.metrics();
    EXPECT(metrics.arrived_total == 4 && metrics.delivered_total == 1 && metrics.in_flight == 0);
    EXPECT(metrics.refused_queue_full_total == 1 && metrics.refused_cancelled_total == 1);
    EXPECT(metrics.refused_deadline_infeasible_total + metrics.refused_deadline_exceeded_total == 1);
    EXPECT(metrics.images_total == 1 && metrics.padding_images_total == 3 && metrics.total_seconds.count == 1);
    const std::string text = engine.prometheus();
    EXPECT(text.find("reason=\"queue_full\"} 1\n") != std::string::npos && text.back() == '\n');

    vision::Engine other(vision::Model{argv[1]});
    EXPECT(!other.classify(image).traceparent());
    expect_parts_to_add_up(other.classify(image).timing());

    other.load("second", vision::Model(argv[1]));
    EXPECT(other.is_ready() && !other.unready_reason());
    EXPECT((other.models() == std::vector<std::string>{"default", "second"}));
    vision::RequestOptions named;
    named.model = "second";
    other.classify(image, named);
    EXPECT(other.metrics("second").delivered_total == 1 && other.metrics().delivered_total == 2);
    EXPECT(other.memory_plan("second") == other.memory_plan() && other.memory_plan().front() == '{');
    other.swap("second", vision::Model(argv[1]));
    EXPECT(other.metrics("second").version == 2);
    other.unload("second");
    EXPECT(other.models() == std::vector<std::string>{"default"});
    EXPECT(error_of([&] { other.classify(image, named); }).status() == VISION_STATUS_INVALID_ARGUMENT);
    other.close();
    EXPECT(!other.is_ready() && other.unready_reason()->find("closed") != std::string::npos);
    return 0;
}

// The C++ wrapper: owners move, failures throw, answers come by waiting, as futures and to callbacks.
#include "expect.hpp"
#include "libvision.hpp"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

namespace {

template <class Function> void expect_error(vision_status_t status, Function function) {
    try {
        function();
    } catch (const vision::Error &error) {
        if (error.status() == status && error.what()[0] != '\0') return;
        std::cerr << "expected " << vision_status_name(status) << ", found " << error.name() << ": " << error.what()
                  << '\n';
        std::exit(1);
    }
    std::cerr << "expected " << vision_status_name(status) << ", and nothing was thrown\n";
    std::exit(1);
}

bool same(const vision::Result &a, const vision::Result &b) {
    const auto in_a = a.predictions(), in_b = b.predictions();
    bool equal = in_a.size() == in_b.size() && !in_a.empty();
    for (std::size_t i = 0; equal && i < in_a.size(); ++i)
        equal = in_a[i].label == in_b[i].label && in_a[i].score == in_b[i].score;
    return equal;
}

void models(const std::string &path) {
    expect_error(VISION_STATUS_FILE_NOT_FOUND, [] { vision::Model("no/such/model"); });
    vision::Model model(path);
    const std::string name(model.name());
    vision::Model moved = std::move(model);
    EXPECT(moved.name() == name && model.get() == nullptr);
    expect_error(VISION_STATUS_INVALID_ARGUMENT, [&] { model.name(); });
    EXPECT(!moved.describe().empty() && moved.labels().size() > 5);

    vision::LoadOptions options;
    vision::Preprocess preprocess = moved.preprocess();
    preprocess.filter = VISION_FILTER_LANCZOS;
    options.preprocess = &preprocess;
    EXPECT(vision::Model(path, options).preprocess().filter == VISION_FILTER_LANCZOS);
}

void answers(const vision::Engine &engine, const vision::Model &model, const std::string &picture) {
    const vision::Image image = vision::Image::path(picture);
    const vision::Result result = engine.classify(image);
    EXPECT(result.predictions().size() == 5 && result.batch_size() == 1 && result.timing().total_ns > 0);
    EXPECT(result.predictions()[0].label == model.labels()[result.predictions()[0].class_index]);
    expect_error(VISION_STATUS_OUTPUT_MISSING, [&] { result.embedding(); });

    std::ifstream file(picture, std::ios::binary);
    const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT(same(result, engine.classify(vision::Image::encoded(bytes))));
    EXPECT(same(result, engine.submit(image).wait()));

    const vision::Result embedded = engine.embed(image);
    EXPECT(embedded.embedding().size() > 1 && embedded.outputs().at(0).elements<float>()[0] == embedded.embedding()[0]);

    EXPECT(engine.outputs(image).outputs().at(0).name == "logits");

    const std::vector<std::uint8_t> grey(4 * 6 * 5, 128);
    const auto tight = engine.classify(vision::Image::pixels(grey, 6, 5, VISION_PIXEL_FORMAT_RGBA));
    const auto strided = engine.classify(vision::Image::pixels(grey, 6, 5, VISION_PIXEL_FORMAT_RGB, 24));
    EXPECT(same(tight, strided));

    const vision::Preprocess preprocess = model.preprocess();
    const std::vector<float> zeros(3 * preprocess.crop_height * preprocess.crop_width);
    const std::vector<vision::TensorView> inputs{vision::TensorView::of(
        "input", {1, 3, preprocess.crop_height, preprocess.crop_width}, vision::Span<float>(zeros))};
    const vision::Result run = engine.run(inputs);
    EXPECT(run.outputs().at(0).name == "logits");
    EXPECT(run.outputs().at(0).elements<float>().size() == model.labels().size());
    expect_error(VISION_STATUS_DTYPE_MISMATCH, [&] { run.outputs().at(0).elements<std::int32_t>(); });
    vision::RequestOptions scored;
    scored.top_k = 1;
    EXPECT(engine.submit(inputs, scored).wait().predictions().size() == 1);
}

void later(const vision::Engine &engine, const std::string &picture) {
    const vision::Image image = vision::Image::path(picture);
    const vision::Result expected = engine.classify(image);
    vision::Pending pending = engine.submit(image);
    std::optional<vision::Result> result;
    while (!result) result = pending.wait_for(std::chrono::milliseconds(5));
    EXPECT(same(expected, *result));
    expect_error(VISION_STATUS_INVALID_ARGUMENT, [&] { pending.wait(); });

    // A future outlives the pending request it came from.
    std::future<vision::Result> future = engine.submit(image).future();
    EXPECT(same(expected, future.get()));
    const std::vector<std::uint8_t> noise(100, 7);
    expect_error(VISION_STATUS_IMAGE_FORMAT_UNKNOWN, [&] {
        engine.submit(vision::Image::encoded(noise)).future().get();
    });

    std::promise<bool> called;
    const auto here = std::this_thread::get_id();
    engine.submit(image).on_complete([&](vision::Pending::Answer answer) {
        called.set_value(same(expected, answer.get()) && std::this_thread::get_id() != here);
    });
    EXPECT(called.get_future().get());
}

} // namespace

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    models(argv[1]);
    const vision::Model model(argv[1]);
    vision::EngineOptions options;
    options.device = "cpu";
    vision::Engine engine(model, options);
    EXPECT(engine.device() == "cpu" && engine.max_batch_size() == options.max_batch_size);
    EXPECT(!engine.describe().empty());
    answers(engine, model, argv[2]);
    later(engine, argv[2]);

    std::atomic<int> calls{0};
    for (int i = 0; i < 10; ++i)
        engine.submit(vision::Image::path(argv[2])).on_complete([&calls](vision::Pending::Answer) { ++calls; });
    engine.close();
    expect_error(VISION_STATUS_ENGINE_CLOSED, [&] { engine.classify(vision::Image::path(argv[2])); });
    engine = vision::Engine(model, options);
    EXPECT(calls == 10);
    options.max_batch_size = 0;
    expect_error(VISION_STATUS_INVALID_ARGUMENT, [&] { vision::Engine(model, options); });
    return 0;
}

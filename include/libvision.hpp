// libvision for C++17: owners, exceptions and futures over libvision.h. Header only.
//
//     vision::Engine engine{vision::Model{"examples/model"}};
//     for (const vision::Prediction &p : engine.classify(vision::Image::path("cat.jpg")).predictions()) ...
//
// Every object owns its handle, can be moved and not copied, and frees the handle when it goes. Text, spans
// and tensors that an object hands out belong to that object. What fails throws vision::Error.

#ifndef LIBVISION_HPP
#define LIBVISION_HPP

#include "libvision.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vision {

// A failure: what() for people, status() for programs.
class Error : public std::runtime_error {
public:
    Error(vision_status_t status, const std::string &message, std::uint64_t retry_after_us = 0)
        : std::runtime_error(message), status_(status), retry_after_us_(retry_after_us) {}

    // What went wrong in the last call on this thread, which failed with `status`.
    static Error last(vision_status_t status) {
        return Error(status, vision_last_error_message(), vision_last_error_retry_after_us());
    }

    vision_status_t status() const noexcept { return status_; }
    // As "IMAGE_CORRUPT".
    const char *name() const noexcept { return vision_status_name(status_); }
    // What can be done about it, or "".
    const char *hint() const noexcept { return vision_status_hint(status_); }
    // Whether the same call may succeed another time though nothing is changed.
    bool is_retryable() const noexcept { return vision_status_is_retryable(status_) != 0; }
    // When to try again, where that is known.
    std::optional<std::chrono::microseconds> retry_after() const noexcept {
        if (retry_after_us_ == 0) return std::nullopt;
        return std::chrono::microseconds(retry_after_us_);
    }

private:
    vision_status_t status_;
    std::uint64_t retry_after_us_;
};

namespace detail {

inline void check(vision_status_t status) {
    if (status != VISION_STATUS_OK) throw Error::last(status);
}

// Throws unless the library that is loaded can do all that this header was compiled for.
inline void check_abi() {
    const std::uint32_t abi = vision_abi_version();
    if (abi >> 16 != VISION_ABI_MAJOR || (abi & 0xffffu) + 1u <= VISION_ABI_MINOR)
        throw std::runtime_error(std::string("libvision ") + vision_version() + " is loaded, and this program needs " +
                                 VISION_VERSION);
}

template <class Handle, vision_status_t (*Free)(Handle *)> struct Deleter {
    void operator()(Handle *handle) const noexcept { Free(handle); }
};
template <class Handle, vision_status_t (*Free)(Handle *)>
using Owner = std::unique_ptr<Handle, Deleter<Handle, Free>>;

template <class Element> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr vision_dtype_t value = VISION_DTYPE_F32; };
template <> struct DTypeOf<std::int8_t> { static constexpr vision_dtype_t value = VISION_DTYPE_I8; };
template <> struct DTypeOf<std::uint8_t> { static constexpr vision_dtype_t value = VISION_DTYPE_U8; };
template <> struct DTypeOf<std::int32_t> { static constexpr vision_dtype_t value = VISION_DTYPE_I32; };
template <> struct DTypeOf<std::int64_t> { static constexpr vision_dtype_t value = VISION_DTYPE_I64; };

} // namespace detail

// Elements that lie in someone else's memory.
template <class Element> class Span {
public:
    Span() = default;
    Span(const Element *data, std::size_t size) : data_(data), size_(size) {}
    // From a vector, an array, a string view and the like.
    template <class Container,
              class = decltype(Span(std::declval<const Container &>().data(), std::declval<const Container &>().size()))>
    Span(const Container &container) : Span(container.data(), container.size()) {}

    const Element *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    const Element *begin() const noexcept { return data_; }
    const Element *end() const noexcept { return data_ + size_; }
    const Element &operator[](std::size_t index) const { return data_[index]; }

private:
    const Element *data_ = nullptr;
    std::size_t size_ = 0;
};

// The options are the structs of libvision.h, made with the defaults. What their pointers point at must
// live until they were used.
struct LoadOptions : vision_load_options_t {
    LoadOptions() { detail::check(vision_load_options_init(this, sizeof(vision_load_options_t))); }
};
struct EngineOptions : vision_engine_options_t {
    EngineOptions() { detail::check(vision_engine_options_init(this, sizeof(vision_engine_options_t))); }
};
struct RequestOptions : vision_request_options_t {
    RequestOptions() { detail::check(vision_request_options_init(this, sizeof(vision_request_options_t))); }
};
struct Preprocess : vision_preprocess_t {
    Preprocess() { detail::check(vision_preprocess_init(this, sizeof(vision_preprocess_t))); }
};

// A picture, in memory that must live until a call that takes it returns.
class Image {
public:
    static Image path(std::string path) {
        Image image(VISION_IMAGE_PATH);
        image.path_ = std::move(path);
        return image;
    }
    // The bytes of a JPEG, PNG, WebP, GIF or BMP file.
    static Image encoded(Span<std::uint8_t> bytes) {
        Image image(VISION_IMAGE_ENCODED);
        image.image_.data = bytes.data();
        image.image_.data_size = bytes.size();
        return image;
    }
    // Raw pixels; `row_stride` is in bytes, 0 for rows without gaps.
    static Image pixels(Span<std::uint8_t> bytes, std::uint32_t width, std::uint32_t height,
                        vision_pixel_format_t format = VISION_PIXEL_FORMAT_RGB, std::uint32_t row_stride = 0) {
        Image image(VISION_IMAGE_PIXELS);
        image.image_.data = bytes.data();
        image.image_.data_size = bytes.size();
        image.image_.width = width;
        image.image_.height = height;
        image.image_.format = format;
        image.image_.row_stride = row_stride;
        return image;
    }

    // The same for C; points into this object.
    vision_image_t c() const {
        vision_image_t image = image_;
        if (image.kind == VISION_IMAGE_PATH) image.path = path_.c_str();
        return image;
    }

private:
    explicit Image(vision_image_kind_t kind) {
        image_.struct_size = sizeof image_;
        image_.kind = kind;
    }

    vision_image_t image_{};
    std::string path_;
};

// A named tensor whose elements lie in someone else's memory.
struct TensorView {
    std::string name;
    std::vector<std::uint64_t> shape;
    vision_dtype_t dtype = VISION_DTYPE_F32;
    Span<std::uint8_t> bytes;

    template <class Element>
    static TensorView of(std::string name, std::vector<std::uint64_t> shape, Span<Element> elements) {
        const Span<std::uint8_t> bytes(reinterpret_cast<const std::uint8_t *>(elements.data()),
                                       elements.size() * sizeof(Element));
        return TensorView{std::move(name), std::move(shape), detail::DTypeOf<Element>::value, bytes};
    }

    // The elements; throws if they are of another type.
    template <class Element> Span<Element> elements() const {
        if (dtype != detail::DTypeOf<Element>::value)
            throw Error(VISION_STATUS_DTYPE_MISMATCH, "tensor " + name + " has elements of another type");
        return {reinterpret_cast<const Element *>(bytes.data()), bytes.size() / sizeof(Element)};
    }

    // The same for C; points into this object.
    vision_tensor_t c() const {
        return {name.c_str(), shape.data(),  bytes.data(), bytes.size(), dtype,
                static_cast<std::uint32_t>(shape.size())};
    }
};

// One label with its score.
struct Prediction {
    std::string_view label;
    std::uint32_t class_index;
    float score;
};

// The answer to one request.
class Result {
public:
    explicit Result(vision_result_t *handle) : handle_(handle) {}

    // Best first; empty unless labels were asked for.
    std::vector<Prediction> predictions() const {
        std::size_t count = 0;
        detail::check(vision_result_prediction_count(handle_.get(), &count));
        std::vector<Prediction> predictions;
        predictions.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            vision_prediction_t prediction;
            detail::check(vision_result_prediction(handle_.get(), i, &prediction));
            predictions.push_back({prediction.label, prediction.class_index, prediction.score});
        }
        return predictions;
    }
    // The pooled feature; throws unless it was asked for.
    Span<float> embedding() const {
        const float *values = nullptr;
        std::size_t length = 0;
        detail::check(vision_result_embedding(handle_.get(), &values, &length));
        return {values, length};
    }
    std::vector<TensorView> outputs() const {
        std::size_t count = 0;
        detail::check(vision_result_output_count(handle_.get(), &count));
        std::vector<TensorView> outputs;
        outputs.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            vision_tensor_t tensor;
            detail::check(vision_result_output(handle_.get(), i, &tensor));
            outputs.push_back({tensor.name,
                               {tensor.shape, tensor.shape + tensor.rank},
                               tensor.dtype,
                               {static_cast<const std::uint8_t *>(tensor.data), tensor.data_size}});
        }
        return outputs;
    }
    // How many images ran in the same batch, this one included.
    std::uint32_t batch_size() const {
        std::uint32_t size = 0;
        detail::check(vision_result_batch_size(handle_.get(), &size));
        return size;
    }
    vision_timing_t timing() const {
        vision_timing_t timing;
        detail::check(vision_result_timing(handle_.get(), &timing, sizeof timing));
        return timing;
    }
    // As the request had it; nothing if it had none or a malformed one.
    std::optional<std::string_view> traceparent() const {
        const char *traceparent = nullptr;
        detail::check(vision_result_traceparent(handle_.get(), &traceparent));
        if (traceparent == nullptr) return std::nullopt;
        return traceparent;
    }

    vision_result_t *get() const noexcept { return handle_.get(); }

private:
    detail::Owner<vision_result_t, vision_result_free> handle_;
};

// A request accepted and not yet answered. Dropping it gives the answer up, unless a callback or a future
// gets it.
class Pending {
public:
    // An answer that is there: get() gives the result or throws what went wrong.
    using Answer = std::future<Result>;

    explicit Pending(vision_pending_t *handle) : handle_(handle) {}

    // Waits for the answer and takes it.
    Result wait() {
        vision_result_t *result = nullptr;
        detail::check(vision_pending_wait(handle_.get(), VISION_WAIT_FOREVER, &result));
        return Result(result);
    }
    // The same for at most `timeout`; nothing if the answer is not there by then.
    std::optional<Result> wait_for(std::chrono::microseconds timeout) {
        vision_result_t *result = nullptr;
        const auto microseconds = timeout.count() < 0 ? 0 : static_cast<std::uint64_t>(timeout.count());
        const vision_status_t status = vision_pending_wait(handle_.get(), microseconds, &result);
        if (status == VISION_STATUS_NOT_READY) return std::nullopt;
        detail::check(status);
        return Result(result);
    }
    // Has `callback` called once with the answer, on the engine's callback thread. It must not throw.
    void on_complete(std::function<void(Answer)> callback) {
        auto owned = std::make_unique<std::function<void(Answer)>>(std::move(callback));
        detail::check(vision_pending_on_complete(handle_.get(), call_back, owned.get()));
        owned.release(); // call_back has it from here on.
    }
    // The answer as a future.
    std::future<Result> future() {
        auto promise = std::make_shared<std::promise<Result>>();
        std::future<Result> future = promise->get_future();
        on_complete([promise](Answer answer) {
            try {
                promise->set_value(answer.get());
            } catch (...) {
                promise->set_exception(std::current_exception());
            }
        });
        return future;
    }
    // Asks for the request to be dropped; its answer is then VISION_STATUS_CANCELLED, unless it was ready.
    void cancel() { detail::check(vision_pending_cancel(handle_.get())); }

    vision_pending_t *get() const noexcept { return handle_.get(); }

private:
    static void call_back(void *user_data, vision_status_t status, vision_result_t *result) noexcept {
        const std::unique_ptr<std::function<void(Answer)>> callback(
            static_cast<std::function<void(Answer)> *>(user_data));
        std::promise<Result> promise;
        if (status == VISION_STATUS_OK)
            promise.set_value(Result(result));
        else
            promise.set_exception(std::make_exception_ptr(Error::last(status)));
        (*callback)(promise.get_future());
    }

    detail::Owner<vision_pending_t, vision_pending_free> handle_;
};

// A loaded model: network, preprocessing and labels, tied to no device.
class Model {
public:
    // Loads an .onnx file, a .safetensors file or a model directory.
    explicit Model(const std::string &path, const LoadOptions &options = {}) {
        detail::check_abi();
        vision_model_t *model = nullptr;
        detail::check(vision_model_load(path.c_str(), &options, &model));
        handle_.reset(model);
    }

    std::string_view name() const {
        const char *name = nullptr;
        detail::check(vision_model_name(handle_.get(), &name));
        return name;
    }
    std::string_view describe() const {
        const char *text = nullptr;
        detail::check(vision_model_describe(handle_.get(), &text));
        return text;
    }
    // One per class; empty if the model names none.
    std::vector<std::string_view> labels() const {
        std::size_t count = 0;
        detail::check(vision_model_label_count(handle_.get(), &count));
        std::vector<std::string_view> labels(count);
        for (std::size_t i = 0; i < count; ++i) {
            const char *label = nullptr;
            detail::check(vision_model_label(handle_.get(), i, &label));
            labels[i] = label;
        }
        return labels;
    }
    Preprocess preprocess() const {
        Preprocess preprocess;
        detail::check(vision_model_preprocess(handle_.get(), &preprocess, sizeof(vision_preprocess_t)));
        return preprocess;
    }

    vision_model_t *get() const noexcept { return handle_.get(); }

private:
    detail::Owner<vision_model_t, vision_model_free> handle_;
};

// One model on one device, behind a queue that batches. Any number of threads may use it at once.
class Engine {
public:
    explicit Engine(const Model &model, const EngineOptions &options = {}) {
        vision_engine_t *engine = nullptr;
        detail::check(vision_engine_new(model.get(), &options, &engine));
        handle_.reset(engine);
    }

    // Labels with scores, best first.
    Result classify(const Image &image, const RequestOptions &options = {}) const {
        return answer(vision_engine_classify, image, options);
    }
    // The pooled feature before the classifier.
    Result embed(const Image &image, const RequestOptions &options = {}) const {
        return answer(vision_engine_embed, image, options);
    }
    // Every output tensor of the model as it is, without softmax.
    Result outputs(const Image &image, const RequestOptions &options = {}) const {
        return answer(vision_engine_outputs, image, options);
    }
    // Preprocessed tensors in, every output tensor out.
    Result run(Span<TensorView> inputs, const RequestOptions &options = {}) const {
        const std::vector<vision_tensor_t> tensors = for_c(inputs);
        vision_result_t *result = nullptr;
        detail::check(vision_engine_run(handle_.get(), tensors.data(), tensors.size(), &options, &result));
        return Result(result);
    }
    // Accepts a picture, for the task that `options` name, and does not wait.
    Pending submit(const Image &image, const RequestOptions &options = {}) const {
        const vision_image_t picture = image.c();
        vision_pending_t *pending = nullptr;
        detail::check(vision_engine_submit(handle_.get(), &picture, &options, &pending));
        return Pending(pending);
    }
    // The same for preprocessed tensors.
    Pending submit(Span<TensorView> inputs, const RequestOptions &options = {}) const {
        const std::vector<vision_tensor_t> tensors = for_c(inputs);
        vision_pending_t *pending = nullptr;
        detail::check(
            vision_engine_submit_tensors(handle_.get(), tensors.data(), tensors.size(), &options, &pending));
        return Pending(pending);
    }

    std::string_view device() const {
        const char *device = nullptr;
        detail::check(vision_engine_device(handle_.get(), &device));
        return device;
    }
    std::uint32_t max_batch_size() const {
        std::uint32_t size = 0;
        detail::check(vision_engine_max_batch_size(handle_.get(), &size));
        return size;
    }
    std::string_view describe() const {
        const char *text = nullptr;
        detail::check(vision_engine_describe(handle_.get(), &text));
        return text;
    }
    // Everything counted and measured so far.
    vision_metrics_t metrics() const {
        vision_metrics_t metrics;
        detail::check(vision_engine_metrics(handle_.get(), &metrics, sizeof metrics));
        return metrics;
    }
    // The same for one of several models.
    vision_metrics_t metrics(const std::string &model) const {
        vision_metrics_t metrics;
        detail::check(vision_engine_model_metrics(handle_.get(), model.c_str(), &metrics, sizeof metrics));
        return metrics;
    }
    // The most memory that a model comes to, by what it is for and where it lies, as one JSON object.
    std::string memory_plan(const std::string &model = "default") const {
        return text([&model](const vision_engine_t *engine, char *buffer, size_t size, size_t *length) {
            return vision_engine_memory_plan(engine, model.c_str(), buffer, size, length);
        });
    }
    // The metrics of all models as text for Prometheus.
    std::string prometheus() const { return text(vision_engine_metrics_prometheus); }
    // Whether requests should be sent here.
    bool is_ready() const {
        std::uint32_t is_ready = 0;
        detail::check(vision_engine_readiness(handle_.get(), nullptr, 0, &is_ready));
        return is_ready != 0;
    }
    // Why they should not; nothing if they should.
    std::optional<std::string> unready_reason() const {
        char reason[1024];
        std::uint32_t is_ready = 0;
        detail::check(vision_engine_readiness(handle_.get(), reason, sizeof reason, &is_ready));
        if (is_ready != 0) return std::nullopt;
        return std::string(reason);
    }

    // Loads another model beside the first, whose name is "default", while requests go on.
    void load(const std::string &name, const Model &model, const EngineOptions &options = {}) {
        detail::check(vision_engine_load(handle_.get(), name.c_str(), model.get(), &options));
    }
    // Hands all later requests to a new version; returns when the old one has answered its own.
    void swap(const std::string &name, const Model &model) {
        detail::check(vision_engine_swap(handle_.get(), name.c_str(), model.get()));
    }
    // Answers what the model has accepted, and gives its memory back.
    void unload(const std::string &name) { detail::check(vision_engine_unload(handle_.get(), name.c_str())); }
    // The names of the loaded models, "default" first.
    std::vector<std::string> models() const {
        std::vector<std::string> names;
        const std::string lines = text(vision_engine_models);
        for (std::size_t begin = 0; begin <= lines.size();) {
            const std::size_t end = std::min(lines.find('\n', begin), lines.size());
            names.push_back(lines.substr(begin, end - begin));
            begin = end + 1;
        }
        return names;
    }
    // Accepts nothing more and answers what was accepted. The destructor does the same.
    void close() { detail::check(vision_engine_close(handle_.get())); }

    vision_engine_t *get() const noexcept { return handle_.get(); }

private:
    using Blocking = vision_status_t (*)(const vision_engine_t *, const vision_image_t *,
                                         const vision_request_options_t *, vision_result_t **);

    Result answer(Blocking function, const Image &image, const RequestOptions &options) const {
        const vision_image_t picture = image.c();
        vision_result_t *result = nullptr;
        detail::check(function(handle_.get(), &picture, &options, &result));
        return Result(result);
    }
    // What `function` writes, which takes the engine, a buffer with its size, and a place for the length.
    template <class Function>
    std::string text(Function function) const {
        std::string text;
        std::size_t length = 0;
        detail::check(function(handle_.get(), nullptr, 0, &length));
        while (text.size() <= length) {
            // It may grow meanwhile.
            text.resize(length + 256);
            detail::check(function(handle_.get(), text.data(), text.size(), &length));
        }
        text.resize(length);
        return text;
    }
    static std::vector<vision_tensor_t> for_c(Span<TensorView> inputs) {
        std::vector<vision_tensor_t> tensors;
        tensors.reserve(inputs.size());
        for (const TensorView &input : inputs) tensors.push_back(input.c());
        return tensors;
    }

    detail::Owner<vision_engine_t, vision_engine_free> handle_;
};

} // namespace vision

#endif // LIBVISION_HPP

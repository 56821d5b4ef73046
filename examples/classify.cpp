// Says what is on pictures: `classify [--embed | --run] MODEL PICTURE...`, one line each.
//
// The same program exists in Rust, C, Python and JavaScript beside this one; all print the same lines.
#include "libvision.hpp"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <exception>

namespace {

// Requests under way at a time, so that they fill batches and never the queue.
constexpr std::size_t window = 64;

// One picture: accepted, or refused at once.
struct Request {
    std::string path;
    std::optional<vision::Pending> pending;
    std::exception_ptr refusal;
};

Request submit(const vision::Engine &engine, const vision::RequestOptions &options, const std::string &path) {
    try {
        return {path, engine.submit(vision::Image::path(path), options), nullptr};
    } catch (const vision::Error &) {
        return {path, std::nullopt, std::current_exception()};
    }
}

void print(const std::string &path, const vision::Result &result) {
    std::printf("%s", path.c_str());
    for (const vision::Prediction &prediction : result.predictions())
        std::printf(" | %s %.6f", std::string(prediction.label).c_str(), static_cast<double>(prediction.score));
    const auto outputs = result.outputs();
    if (!outputs.empty()) {
        const auto values = outputs.front().elements<float>();
        std::printf(" | %zu:", values.size());
        for (std::size_t i = 0; i < std::min<std::size_t>(values.size(), 4); ++i)
            std::printf(" %.6f", static_cast<double>(values[i]));
    }
    std::printf("\n");
}

// Prints the picture's line and returns whether it was answered.
bool finish(Request request) {
    try {
        if (request.refusal) std::rethrow_exception(request.refusal);
        print(request.path, request.pending->wait());
        return true;
    } catch (const vision::Error &error) {
        std::printf("%s | error %s: %s\n", request.path.c_str(), error.name(), error.what());
        return false;
    }
}

bool classify(const vision::Engine &engine, vision_task_t task, const std::vector<std::string> &paths) {
    vision::RequestOptions options;
    options.task = task;
    std::deque<Request> waiting;
    bool all_answered = true;
    const auto finish_next = [&] {
        all_answered &= finish(std::move(waiting.front()));
        waiting.pop_front();
    };
    for (const std::string &path : paths) {
        if (waiting.size() == window) finish_next();
        waiting.push_back(submit(engine, options, path));
    }
    while (!waiting.empty()) finish_next();
    return all_answered;
}

} // namespace

int main(int argc, char **argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    vision_task_t task = VISION_TASK_CLASSIFY;
    if (!arguments.empty() && arguments.front() == "--embed") task = VISION_TASK_EMBED;
    if (!arguments.empty() && arguments.front() == "--run") task = VISION_TASK_RUN;
    if (task != VISION_TASK_CLASSIFY) arguments.erase(arguments.begin());
    if (arguments.size() < 2) {
        std::fprintf(stderr, "usage: classify [--embed | --run] MODEL PICTURE...\n");
        return 2;
    }
    try {
        const vision::Engine engine{vision::Model{arguments.front()}};
        return classify(engine, task, {arguments.begin() + 1, arguments.end()}) ? 0 : 1;
    } catch (const vision::Error &error) {
        std::fprintf(stderr, "%s: %s\n", error.name(), error.what());
        return 2;
    }
}

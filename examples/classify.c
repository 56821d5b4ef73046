/* Says what is on pictures: `classify [--embed | --run] MODEL PICTURE...`, one line each.
 *
 * The same program exists in Rust, C++, Python and JavaScript beside this one; all print the same lines. */
#include "libvision.h"

#include <stdio.h>
#include <string.h>

/* Requests under way at a time, so that they fill batches and never the queue. */
enum { WINDOW = 64, SHOWN = 4 };

/* One picture: accepted, or refused at once. */
typedef struct {
    const char *path;
    vision_status_t status;
    vision_pending_t *pending;
    char message[512];
} request_t;

static int fail(vision_status_t status) {
    fprintf(stderr, "%s: %s\n", vision_status_name(status), vision_last_error_message());
    return 2;
}

static void submit(vision_engine_t *engine, const vision_request_options_t *options, const char *path,
                   request_t *request) {
    const vision_image_t image = {.struct_size = sizeof image, .kind = VISION_IMAGE_PATH, .path = path};
    request->path = path;
    request->pending = NULL;
    request->status = vision_engine_submit(engine, &image, options, &request->pending);
    /* Other calls on this thread may fail before this one is printed. */
    if (request->status != VISION_STATUS_OK)
        snprintf(request->message, sizeof request->message, "%s", vision_last_error_message());
}

static void print_result(const char *path, const vision_result_t *result) {
    size_t count = 0;
    printf("%s", path);
    vision_result_prediction_count(result, &count);
    for (size_t i = 0; i < count; ++i) {
        vision_prediction_t prediction;
        vision_result_prediction(result, i, &prediction);
        printf(" | %s %.6f", prediction.label, prediction.score);
    }
    vision_tensor_t output;
    if (vision_result_output(result, 0, &output) == VISION_STATUS_OK) {
        const float *values = output.data;
        const size_t length = output.data_size / sizeof *values;
        printf(" | %zu:", length);
        for (size_t i = 0; i < length && i < SHOWN; ++i) printf(" %.6f", values[i]);
    }
    printf("\n");
}

/* Prints the picture's line and returns whether it was answered. */
static int finish(request_t *request) {
    vision_result_t *result = NULL;
    const char *message = request->message;
    if (request->status == VISION_STATUS_OK) {
        request->status = vision_pending_wait(request->pending, VISION_WAIT_FOREVER, &result);
        message = vision_last_error_message();
    }
    if (request->status == VISION_STATUS_OK)
        print_result(request->path, result);
    else
        printf("%s | error %s: %s\n", request->path, vision_status_name(request->status), message);
    vision_result_free(result);
    vision_pending_free(request->pending);
    return request->status == VISION_STATUS_OK;
}

static int classify(vision_engine_t *engine, vision_task_t task, int count, char **paths) {
    vision_request_options_t options;
    vision_status_t status = vision_request_options_init(&options, sizeof options);
    if (status != VISION_STATUS_OK) return fail(status);
    options.task = task;

    static request_t window[WINDOW];
    int all_answered = 1;
    for (int i = 0; i < count + WINDOW; ++i) {
        request_t *request = &window[i % WINDOW];
        if (i >= WINDOW && i - WINDOW < count) all_answered &= finish(request);
        if (i < count) submit(engine, &options, paths[i], request);
    }
    return all_answered ? 0 : 1;
}

int main(int argc, char **argv) {
    vision_task_t task = VISION_TASK_CLASSIFY;
    if (argc > 1 && strcmp(argv[1], "--embed") == 0) task = VISION_TASK_EMBED;
    if (argc > 1 && strcmp(argv[1], "--run") == 0) task = VISION_TASK_RUN;
    const int next = task == VISION_TASK_CLASSIFY ? 1 : 2;
    if (argc - next < 2) {
        fprintf(stderr, "usage: classify [--embed | --run] MODEL PICTURE...\n");
        return 2;
    }

    vision_model_t *model = NULL;
    vision_status_t status = vision_model_load(argv[next], NULL, &model);
    if (status != VISION_STATUS_OK) return fail(status);
    vision_engine_t *engine = NULL;
    status = vision_engine_new(model, NULL, &engine);
    vision_model_free(model);
    if (status != VISION_STATUS_OK) return fail(status);

    const int code = classify(engine, task, argc - next - 1, argv + next + 1);
    vision_engine_free(engine);
    return code;
}

/* What the C tests share: expectations that say what was found, and the two arguments of each program. */
#ifndef EXPECT_H
#define EXPECT_H

#include "libvision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A model directory and a picture: what the programs are started with. */
#define MODEL (argv[1])
#define PICTURE (argv[2])

#define EXPECT(condition)                                                                       \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);             \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define EXPECT_STATUS(call, expected) expect_status(__FILE__, __LINE__, #call, (call), (expected))
#define EXPECT_OK(call) EXPECT_STATUS(call, VISION_STATUS_OK)
#define EXPECT_TEXT(found, expected) expect_text(__FILE__, __LINE__, (found), (expected))

static inline void expect_status(const char *file, int line, const char *call, vision_status_t found,
                                 vision_status_t expected) {
    if (found == expected) return;
    fprintf(stderr, "%s:%d: %s\n  gave %s, expected %s; last message: %s\n", file, line, call,
            vision_status_name(found), vision_status_name(expected), vision_last_error_message());
    exit(1);
}

static inline void expect_text(const char *file, int line, const char *found, const char *expected) {
    if (strcmp(found, expected) == 0) return;
    fprintf(stderr, "%s:%d: found \"%s\"\n  expected \"%s\"\n", file, line, found, expected);
    exit(1);
}

static inline vision_model_t *load_model(const char *path) {
    vision_model_t *model = NULL;
    EXPECT_OK(vision_model_load(path, NULL, &model));
    return model;
}

/* An engine on the CPU whose batches wait for `max_queue_delay_us`, and otherwise with the defaults. */
static inline vision_engine_t *new_engine(const char *model_path, uint64_t max_queue_delay_us) {
    vision_engine_options_t options;
    EXPECT_OK(vision_engine_options_init(&options, sizeof options));
    options.device = "cpu";
    options.max_queue_delay_us = max_queue_delay_us;
    options.window = VISION_WINDOW_THROUGHPUT;
    vision_model_t *model = load_model(model_path);
    vision_engine_t *engine = NULL;
    EXPECT_OK(vision_engine_new(model, &options, &engine));
    EXPECT_OK(vision_model_free(model));
    return engine;
}

static inline vision_image_t image_at(const char *path) {
    vision_image_t image = {.struct_size = sizeof image, .kind = VISION_IMAGE_PATH, .path = path};
    return image;
}

#endif

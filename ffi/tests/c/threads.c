/* Many threads on one engine: their requests share batches, and each score is what it is alone, to the bit. */
#include "expect.h"

#include <pthread.h>

enum { THREADS = 32, TOP = 5 };

typedef struct {
    const vision_engine_t *engine;
    const char *picture;
    pthread_barrier_t *start;
    uint32_t batch_size;
    uint32_t classes[TOP];
    float scores[TOP];
} job_t;

static void *classify(void *argument) {
    job_t *job = argument;
    const vision_image_t image = image_at(job->picture);
    vision_result_t *result = NULL;
    if (job->start) pthread_barrier_wait(job->start);
    EXPECT_OK(vision_engine_classify(job->engine, &image, NULL, &result));
    EXPECT_OK(vision_result_batch_size(result, &job->batch_size));
    for (size_t i = 0; i < TOP; ++i) {
        vision_prediction_t prediction;
        EXPECT_OK(vision_result_prediction(result, i, &prediction));
        job->classes[i] = prediction.class_index;
        job->scores[i] = prediction.score;
    }
    EXPECT_OK(vision_result_free(result));
    return NULL;
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    /* Batches close when they are full, long before this delay; it only lets slow machines fill them. */
    vision_engine_t *engine = new_engine(MODEL, 2000000);
    uint32_t max_batch_size = 0;
    EXPECT_OK(vision_engine_max_batch_size(engine, &max_batch_size));

    vision_engine_t *undelayed = new_engine(MODEL, 0);
    job_t alone = {.engine = undelayed, .picture = PICTURE};
    classify(&alone);
    EXPECT(alone.batch_size == 1);

    pthread_barrier_t start;
    EXPECT(pthread_barrier_init(&start, NULL, THREADS) == 0);
    pthread_t threads[THREADS];
    job_t jobs[THREADS];
    for (int i = 0; i < THREADS; ++i) {
        jobs[i] = (job_t){.engine = engine, .picture = PICTURE, .start = &start};
        EXPECT(pthread_create(&threads[i], NULL, classify, &jobs[i]) == 0);
    }
    uint32_t largest = 0;
    for (int i = 0; i < THREADS; ++i) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
        EXPECT(memcmp(jobs[i].scores, alone.scores, sizeof alone.scores) == 0);
        EXPECT(memcmp(jobs[i].classes, alone.classes, sizeof alone.classes) == 0);
        if (jobs[i].batch_size > largest) largest = jobs[i].batch_size;
    }
    EXPECT(largest > 1 && largest <= max_batch_size);
    pthread_barrier_destroy(&start);
    EXPECT_OK(vision_engine_free(undelayed));
    EXPECT_OK(vision_engine_free(engine));
    return 0;
}

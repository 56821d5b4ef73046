/* Callbacks: once for each request, from the named thread, and none after the engine is freed. */
#define _GNU_SOURCE
#include "expect.h"

#include <pthread.h>
#include <stdatomic.h>

enum { REQUESTS = 40 };

typedef struct {
    vision_engine_t *engine;
    pthread_t submitter;
    atomic_int calls;
    atomic_int answers;
    atomic_int cancelled;
    atomic_int freeing;
    atomic_int freed;
} board_t;

static void on_answer(void *user_data, vision_status_t status, vision_result_t *result) {
    board_t *board = user_data;
    EXPECT(!atomic_load(&board->freed));
    EXPECT(!pthread_equal(pthread_self(), board->submitter));
    char name[32] = "";
    EXPECT(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
    EXPECT_TEXT(name, "vision-callback");
    if (status == VISION_STATUS_OK) {
        vision_prediction_t prediction;
        EXPECT_OK(vision_result_prediction(result, 0, &prediction));
        EXPECT_OK(vision_result_free(result));
        atomic_fetch_add(&board->answers, 1);
    } else {
        EXPECT(result == NULL && strlen(vision_last_error_message()) > 0);
        if (status == VISION_STATUS_CANCELLED) atomic_fetch_add(&board->cancelled, 1);
    }
    /* Refused here; and once it is being freed elsewhere, the handle is stale already. */
    status = vision_engine_free(board->engine);
    EXPECT(status == VISION_STATUS_INVALID_ARGUMENT ||
           (status == VISION_STATUS_BAD_HANDLE && atomic_load(&board->freeing)));
    atomic_fetch_add(&board->calls, 1);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    board_t board = {.engine = new_engine(MODEL, 1000), .submitter = pthread_self()};
    const vision_image_t image = image_at(PICTURE);
    const vision_image_t missing = image_at("no/such/picture.jpg");
    vision_result_t *result = NULL;
    int accepted = 0, failing = 0;
    vision_pending_t *pending = NULL;
    for (int i = 0; i < REQUESTS; ++i) {
        EXPECT_OK(vision_engine_submit(board.engine, &image, NULL, &pending));
        EXPECT_OK(vision_pending_on_complete(pending, on_answer, &board));
        accepted += 1;
        if (i % 4 == 0) EXPECT_OK(vision_pending_cancel(pending));
        /* The answer is the callback's now. */
        EXPECT_STATUS(vision_pending_wait(pending, 0, &result), VISION_STATUS_INVALID_ARGUMENT);
        EXPECT_STATUS(vision_pending_on_complete(pending, on_answer, &board), VISION_STATUS_INVALID_ARGUMENT);
        EXPECT_OK(vision_pending_free(pending));
    }
    /* A picture that cannot be read is refused now or fails later; accepted means called back. */
    if (vision_engine_submit(board.engine, &missing, NULL, &pending) == VISION_STATUS_OK) {
        EXPECT_OK(vision_pending_on_complete(pending, on_answer, &board));
        EXPECT_OK(vision_pending_free(pending));
        accepted += 1;
        failing += 1;
    }
    /* An answer that is there already comes to the callback too, and not on this thread. */
    EXPECT_OK(vision_engine_submit(board.engine, &image, NULL, &pending));
    EXPECT_OK(vision_result_free(result));
    vision_result_t *other = NULL;
    EXPECT_OK(vision_engine_classify(board.engine, &image, NULL, &other));
    EXPECT_OK(vision_result_free(other));
    EXPECT_OK(vision_pending_on_complete(pending, on_answer, &board));
    EXPECT_OK(vision_pending_free(pending));
    accepted += 1;

    vision_pending_t *late = NULL;
    EXPECT_OK(vision_engine_submit(board.engine, &image, NULL, &late));
    atomic_store(&board.freeing, 1);
    EXPECT_OK(vision_engine_free(board.engine));
    atomic_store(&board.freed, 1);
    EXPECT(atomic_load(&board.calls) == accepted);
    EXPECT(atomic_load(&board.answers) + atomic_load(&board.cancelled) == accepted - failing);
    EXPECT(atomic_load(&board.answers) >= REQUESTS - REQUESTS / 4 + 1);

    /* No callback can be asked for any more; the answer can still be waited for. */
    EXPECT_STATUS(vision_pending_on_complete(late, on_answer, &board), VISION_STATUS_ENGINE_CLOSED);
    EXPECT_OK(vision_pending_wait(late, VISION_WAIT_FOREVER, &other));
    EXPECT_OK(vision_result_free(other));
    EXPECT_OK(vision_pending_free(late));
    return 0;
}

"""Many pictures through a queue of a given size, without an engine."""

import pytest
from libvision.errors import make
from libvision.window import answer_all, run_now


class Queue:
    """A queue with `room` for requests that have not been waited for."""

    def __init__(self, room):
        self.room = room
        self.under_way = []
        self.most = 0
        self.cancelled = []

    def start(self, image):
        if isinstance(image, Exception):
            raise image
        if len(self.under_way) >= self.room:
            raise make("full", "QUEUE_FULL", 500, "")
        request = Request(self, image)
        self.under_way.append(request)
        self.most = max(self.most, len(self.under_way))
        return request

    async def wait(self, request):
        self.under_way.remove(request)
        if request.image == "bad":
            raise make("bad", "IMAGE_CORRUPT", 201, "")
        return request.image.upper()

    def answers(self, images, limit=100, keep_errors=False):
        return run_now(answer_all(images, self.start, self.wait, limit, keep_errors))


class Request:
    def __init__(self, queue, image):
        self.queue, self.image = queue, image

    def cancel(self):
        self.queue.cancelled.append(self.image)


IMAGES = list("abcdefgh")
ANSWERS = list("ABCDEFGH")


@pytest.mark.parametrize("room", [1, 2, 7, 8, 9])
def test_answers_come_in_order_whatever_the_room(room):
    queue = Queue(room)
    assert queue.answers(IMAGES) == ANSWERS
    assert queue.most == min(room, 8)


@pytest.mark.parametrize("limit", [1, 3, 8, 20])
def test_never_more_than_the_limit(limit):
    queue = Queue(100)
    assert queue.answers(IMAGES, limit) == ANSWERS
    assert queue.most == min(limit, 8)


def test_a_queue_that_others_have_filled():
    with pytest.raises(Exception, match="full"):
        Queue(0).answers(IMAGES)
    kept = Queue(0).answers(IMAGES, keep_errors=True)
    assert [error.code for error in kept] == ["QUEUE_FULL"] * 8


def test_the_first_error_ends_everything_and_cancels_the_rest():
    queue = Queue(100)
    with pytest.raises(Exception, match="bad") as caught:
        queue.answers(["a", "b", "bad", "d", "bad"])
    assert caught.value.__notes__ == ["picture at position 2 of the list"]
    assert queue.cancelled == ["d", "bad"]


def test_errors_in_their_places():
    refused = ValueError("refused")
    answers = Queue(2).answers(["a", refused, "bad", "d", refused], 3, keep_errors=True)
    assert [answers[0], answers[1], answers[3], answers[4]] == ["A", refused, "D", refused]
    assert answers[2].code == "IMAGE_CORRUPT"


def test_no_images():
    assert Queue(1).answers([]) == []

/* Versions and statuses: what needs no model. */
#include "expect.h"

int main(void) {
    EXPECT(vision_abi_version() == (VISION_ABI_MAJOR << 16 | VISION_ABI_MINOR));
    EXPECT_TEXT(vision_version(), VISION_VERSION);

    EXPECT_TEXT(vision_status_name(VISION_STATUS_OK), "OK");
    EXPECT_TEXT(vision_status_name(VISION_STATUS_NOT_READY), "NOT_READY");
    EXPECT_TEXT(vision_status_name(VISION_STATUS_IMAGE_CORRUPT), "IMAGE_CORRUPT");
    EXPECT_TEXT(vision_status_name(12345), "UNKNOWN");
    EXPECT_TEXT(vision_status_hint(VISION_STATUS_OK), "");
    EXPECT(strlen(vision_status_hint(VISION_STATUS_QUEUE_FULL)) > 0);
    EXPECT_TEXT(vision_last_error_message(), "");
    return 0;
}

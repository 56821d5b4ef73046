/* Reads a text after its model was freed, which AddressSanitizer must stop: shows that it watches. */
#include "expect.h"

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_model_t *model = load_model(MODEL);
    const char *name = NULL;
    EXPECT_OK(vision_model_name(model, &name));
    EXPECT_OK(vision_model_free(model));
    printf("%c\n", name[0]);
    return 0;
}

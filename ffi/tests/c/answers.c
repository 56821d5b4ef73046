/* The three tasks on one picture, from a path, from bytes and from tensors, waited for in both ways. */
#include "expect.h"

static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    EXPECT(file && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*size);
    EXPECT(bytes && fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

static void expect_equal_predictions(const vision_result_t *a, const vision_result_t *b) {
    size_t count_a = 0, count_b = 0;
    EXPECT_OK(vision_result_prediction_count(a, &count_a));
    EXPECT_OK(vision_result_prediction_count(b, &count_b));
    EXPECT(count_a == count_b);
    for (size_t i = 0; i < count_a; ++i) {
        vision_prediction_t in_a, in_b;
        EXPECT_OK(vision_result_prediction(a, i, &in_a));
        EXPECT_OK(vision_result_prediction(b, i, &in_b));
        EXPECT_TEXT(in_b.label, in_a.label);
        EXPECT(in_a.class_index == in_b.class_index && in_a.score == in_b.score);
    }
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    vision_model_t *model = load_model(MODEL);
    vision_engine_t *engine = new_engine(MODEL, 0);
    const char *text = NULL;
    uint32_t batch = 0;
    EXPECT_OK(vision_engine_device(engine, &text));
    EXPECT_TEXT(text, "cpu");
    EXPECT_OK(vision_engine_max_batch_size(engine, &batch));
    EXPECT(batch >= 1);
    EXPECT_OK(vision_engine_describe(engine, &text));
    EXPECT(strlen(text) > 0);
    EXPECT_OK(vision_model_describe(model, &text));
    EXPECT(strlen(text) > 0);

    /* Classify: from the path, from the bytes (which may go at once), and submitted. */
    vision_image_t image = image_at(PICTURE);
    vision_result_t *from_path = NULL, *from_bytes = NULL, *submitted = NULL;
    EXPECT_OK(vision_engine_classify(engine, &image, NULL, &from_path));
    size_t size = 0;
    void *bytes = read_file(PICTURE, &size);
    image = (vision_image_t){
        .struct_size = sizeof image, .kind = VISION_IMAGE_ENCODED, .data = bytes, .data_size = size};
    EXPECT_OK(vision_engine_classify(engine, &image, NULL, &from_bytes));
    vision_pending_t *pending = NULL;
    EXPECT_OK(vision_engine_submit(engine, &image, NULL, &pending));
    memset(bytes, 0, size);
    free(bytes);
    while (vision_pending_wait(pending, 1000, &submitted) == VISION_STATUS_NOT_READY) EXPECT(submitted == NULL);
    EXPECT(submitted != NULL);
    expect_equal_predictions(from_path, from_bytes);
    expect_equal_predictions(from_path, submitted);
    vision_result_t *again = NULL;
    EXPECT_STATUS(vision_pending_wait(pending, 0, &again), VISION_STATUS_INVALID_ARGUMENT);
    EXPECT_OK(vision_pending_free(pending));
    EXPECT_OK(vision_result_free(from_bytes));
    EXPECT_OK(vision_result_free(submitted));

    size_t count = 0, labels = 0;
    EXPECT_OK(vision_result_prediction_count(from_path, &count));
    EXPECT_OK(vision_model_label_count(model, &labels));
    EXPECT(count == 5 && labels > 5);
    float last = 1.0f;
    for (size_t i = 0; i < count; ++i) {
        vision_prediction_t prediction;
        EXPECT_OK(vision_result_prediction(from_path, i, &prediction));
        EXPECT(prediction.score <= last && prediction.score >= 0.0f);
        EXPECT_OK(vision_model_label(model, prediction.class_index, &text));
        EXPECT_TEXT(prediction.label, text);
        last = prediction.score;
    }
    EXPECT_OK(vision_result_output_count(from_path, &count));
    EXPECT(count == 0);
    EXPECT_OK(vision_result_batch_size(from_path, &batch));
    EXPECT(batch == 1);
    vision_timing_t timing;
    EXPECT_OK(vision_result_timing(from_path, &timing, sizeof timing));
    EXPECT(timing.compute_ns > 0 && timing.total_ns >= timing.compute_ns + timing.decode_ns);

    vision_request_options_t options;
    EXPECT_OK(vision_request_options_init(&options, sizeof options));
    options.top_k = 2;
    vision_result_t *result = NULL;
    image = image_at(PICTURE);
    EXPECT_OK(vision_engine_classify(engine, &image, &options, &result));
    EXPECT_OK(vision_result_prediction_count(result, &count));
    EXPECT(count == 2);
    EXPECT_OK(vision_result_free(result));

    /* Embed. */
    const float *embedding = NULL;
    size_t length = 0;
    EXPECT_OK(vision_engine_embed(engine, &image, NULL, &result));
    EXPECT_OK(vision_result_embedding(result, &embedding, &length));
    EXPECT(length > 1 && embedding != NULL);
    EXPECT_OK(vision_result_prediction_count(result, &count));
    EXPECT(count == 0);
    vision_tensor_t tensor;
    EXPECT_OK(vision_result_output(result, 0, &tensor));
    EXPECT_TEXT(tensor.name, "embedding");
    EXPECT(memcmp(tensor.data, embedding, tensor.data_size) == 0);
    EXPECT_OK(vision_result_free(result));

    /* Run, from the picture: the label with the largest logit is the first prediction. */
    options.task = VISION_TASK_RUN;
    EXPECT_OK(vision_engine_outputs(engine, &image, NULL, &result));
    EXPECT_OK(vision_engine_submit(engine, &image, &options, &pending));
    EXPECT_OK(vision_pending_wait(pending, VISION_WAIT_FOREVER, &submitted));
    EXPECT_OK(vision_pending_free(pending));
    vision_tensor_t same;
    EXPECT_OK(vision_result_output(submitted, 0, &same));
    EXPECT_OK(vision_result_output(result, 0, &tensor));
    EXPECT(same.data_size == tensor.data_size && memcmp(same.data, tensor.data, tensor.data_size) == 0);
    EXPECT_OK(vision_result_free(submitted));
    EXPECT_TEXT(tensor.name, "logits");
    EXPECT(tensor.dtype == VISION_DTYPE_F32 && tensor.rank == 2);
    EXPECT(tensor.shape[0] == 1 && tensor.shape[1] == labels && tensor.data_size == labels * sizeof(float));
    const float *logits = tensor.data;
    uint32_t best = 0;
    for (uint32_t i = 1; i < labels; ++i)
        if (logits[i] > logits[best]) best = i;
    vision_prediction_t first;
    EXPECT_OK(vision_result_prediction(from_path, 0, &first));
    EXPECT(first.class_index == best);
    EXPECT_OK(vision_result_free(result));

    /* Run, from tensors: two images of zeros give the same row twice; other shapes and names are refused. */
    vision_preprocess_t preprocess;
    EXPECT_OK(vision_model_preprocess(model, &preprocess, sizeof preprocess));
    const uint64_t shape[4] = {2, 3, preprocess.crop_height, preprocess.crop_width};
    const size_t elements = 2 * 3 * preprocess.crop_height * preprocess.crop_width;
    float *zeros = calloc(elements, sizeof *zeros);
    EXPECT(zeros);
    vision_tensor_t input = {.name = "input",
                             .shape = shape,
                             .data = zeros,
                             .data_size = elements * sizeof *zeros,
                             .dtype = VISION_DTYPE_F32,
                             .rank = 4};
    EXPECT_OK(vision_engine_run(engine, &input, 1, NULL, &result));
    EXPECT_OK(vision_result_output(result, 0, &tensor));
    EXPECT(tensor.shape[0] == 2 && tensor.data_size == 2 * labels * sizeof(float));
    logits = tensor.data;
    EXPECT(memcmp(logits, logits + labels, labels * sizeof *logits) == 0);
    EXPECT_OK(vision_result_free(result));
    result = NULL;
    input.rank = 3;
    EXPECT_STATUS(vision_engine_run(engine, &input, 1, NULL, &result), VISION_STATUS_SHAPE_MISMATCH);
    input.rank = 4;
    input.dtype = VISION_DTYPE_I32;
    EXPECT_STATUS(vision_engine_run(engine, &input, 1, NULL, &result), VISION_STATUS_DTYPE_MISMATCH);
    EXPECT(result == NULL);
    free(zeros);

    EXPECT_OK(vision_result_free(from_path));
    EXPECT_OK(vision_engine_free(engine));
    EXPECT_OK(vision_model_free(model));
    return 0;
}

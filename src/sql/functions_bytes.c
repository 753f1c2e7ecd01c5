/*
 * functions_bytes.c - functions of text that take a BINARY as bytes: lpad, rpad, left, overlay.
 */
#include "sql/function.h"

/* With both binary the result is; the pad is a zero byte by default. */
static void put_padded(struct mr_result *result, int64_t row, struct mr_slice bytes,
                       struct mr_slice pad, int32_t length, bool left)
{
    size_t want = length > 0 ? (size_t)length : 0;
    size_t kept = bytes.size < want ? bytes.size : want;
    size_t gap = pad.size ? want - kept : 0;
    char *to = mr_result_reserve(result, kept + gap);
    if (to == NULL)
        return;
    if (kept)
        memcpy(to + (left ? gap : 0), bytes.data, kept);
    for (size_t i = 0; i < gap; i++)
        to[(left ? 0 : kept) + i] = pad.data[i % pad.size];
    mr_result_commit(result, row, kept + gap);
}

static enum mr_status pad_all(struct mr_call *call, bool left, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), length = mr_arg_of(call, 1);
    struct mr_arg pad = mr_arg_of(call, call->nargs > 2 ? 2 : 0);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    put_padded(&result, row, mr_arg_text(&x, row),
               call->nargs > 2 ? mr_arg_text(&pad, row) : (struct mr_slice){"\0", 1},
               MR_ARG(length, int32_t, row), left);
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_lpad(struct mr_call *call, struct mr_column **out)
{
    return pad_all(call, true, out);
}

static enum mr_status kernel_rpad(struct mr_call *call, struct mr_column **out)
{
    return pad_all(call, false, out);
}

static enum mr_status kernel_left(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), length = mr_arg_of(call, 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice bytes = mr_arg_text(&x, row);
        int32_t n = MR_ARG(length, int32_t, row);
        size_t size = n < 0 ? 0 : (size_t)n < bytes.size ? (size_t)n : bytes.size;
        mr_result_text(&result, row, bytes.data, size);
    }
    return mr_result_finish(&result, out);
}

/* Bytes [from, to) counted from 0, cut to what is there. */
static void append_part(char **to, struct mr_slice bytes, int64_t from, int64_t end)
{
    int64_t size = (int64_t)bytes.size;
    from = from < 0 ? 0 : from > size ? size : from;
    end = end < from ? from : end > size ? size : end;
    if (end > from)
        memcpy(*to, bytes.data + from, (size_t)(end - from));
    *to += end - from;
}

static enum mr_status kernel_overlay(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg x = mr_arg_of(call, 0), with = mr_arg_of(call, 1), from = mr_arg_of(call, 2);
    struct mr_arg length = mr_arg_of(call, call->nargs - 1);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice bytes = mr_arg_text(&x, row), put = mr_arg_text(&with, row);
        int64_t at = MR_ARG(from, int32_t, row), size = (int64_t)bytes.size;
        int64_t count = call->nargs > 3 ? MR_ARG(length, int32_t, row) : -1;
        count = count < 0 ? (int64_t)put.size : count;
        char *start = mr_result_reserve(&result, 2 * bytes.size + put.size), *to = start;
        if (start == NULL)
            break;
        int64_t behind = at + count;
        append_part(&to, bytes, 0, at - 1);
        if (put.size)
            memcpy(to, put.data, put.size);
        to += put.size;
        append_part(&to, bytes, behind > 0 ? behind - 1 : behind < 0 ? size + behind : 0, size);
        mr_result_commit(&result, row, (size_t)(to - start));
    }
    return mr_result_finish(&result, out);
}

#define BYTES(names_, args_, kernel_)                                                              \
    {                                                                                              \
        .names = names_, .args = args_, .result = "b", .flags = MR_FN_TOTAL, .kernel = kernel_     \
    }

static const struct mr_function functions[] = {
    BYTES("lpad", "bi?b", kernel_lpad),
    BYTES("rpad", "bi?b", kernel_rpad),
    BYTES("left", "bi", kernel_left),
    BYTES("overlay", "bbi?i", kernel_overlay),
};

const struct mr_function_family mr_functions_bytes = {functions,
                                                      sizeof(functions) / sizeof(functions[0])};

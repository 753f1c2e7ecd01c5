/*
 * fuzz_expr.c - any bytes as an expression: an error with a message, or a result that holds its invariants and is the same over flat,
 * dictionary-coded and selected columns.
 *
 * An input is lines, each of them one expression, run with ANSI on (in Berlin) and with ANSI off.
 */
#include "unit/sql/expr_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum mr_status status;
    struct mr_bytes text;
    struct mr_error err;
};

static void run(struct expr_fixture *fixture, enum batch_kind kind, const char *expression,
                struct outcome *out)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    mr_bytes_init(&out->text, (size_t)64 << 20);
    out->err.message[0] = '\0';
    out->status =
        expr_fixture_evaluate(fixture, kind, &arena, expression, true, &out->text, &out->err);
    mr_arena_reset(&arena);
    if (out->status == MR_INTERNAL || (out->status != MR_OK && out->err.message[0] == '\0')) {
        fprintf(stderr, "encoding %d: %s: %s\n", (int)kind, expression, out->err.message);
        abort();
    }
}

static bool comparable(const char *expression, const struct outcome *a, const struct outcome *b)
{
    bool limited = a->status == MR_LIMIT || b->status == MR_LIMIT;
    return !limited && strstr(expression, "rand") == NULL && strstr(expression, "uuid(") == NULL;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    if (a->status != b->status)
        return false;
    return a->status != MR_OK ||
           (a->text.size == b->text.size &&
            (a->text.size == 0 || memcmp(a->text.data, b->text.data, a->text.size) == 0));
}

static void check_line(struct expr_fixture *fixture, const char *expression)
{
    struct outcome flat, other;
    run(fixture, BATCH_FLAT, expression, &flat);
    for (int kind = BATCH_DICTIONARY; kind <= BATCH_SELECTION; kind++) {
        run(fixture, kind, expression, &other);
        if (comparable(expression, &flat, &other) && !same(&flat, &other)) {
            fprintf(stderr, "encoding %d differs: %s\n  flat:  %s%s\n  other: %s%s\n", kind,
                    expression, flat.text.data ? flat.text.data : "",
                    flat.status ? flat.err.message : "", other.text.data ? other.text.data : "",
                    other.status ? other.err.message : "");
            abort();
        }
        mr_bytes_reset(&other.text);
    }
    mr_bytes_reset(&flat.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct expr_fixture *fixtures[2];
    if (fixtures[0] == NULL) {
        fixtures[0] = expr_fixture_new(ANSI_BERLIN);
        fixtures[1] = expr_fixture_new(LEGACY_UTC);
    }
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    int lines = 0;
    for (char *line = text; line != NULL && lines < 20; lines++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        check_line(fixtures[0], line);
        check_line(fixtures[1], line);
        line = end;
    }
    free(text);
    return 0;
}

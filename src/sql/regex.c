/*
 * regex.c - PCRE2 behind the regular expression functions.
 *
 * Spark's are Java's. PCRE2 in UTF mode reads nearly all of them alike; the differences are listed in
 * docs/internals/sql.md. A match that needs more than ten million steps is an error, not a hang: patterns come from pipeline
 * files, but texts from the world. The just-in-time compiler is used where it can be had.
 */
#include "sql/regex.h"

#include "sql/regex_java.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 10000000
#define DEPTH_LIMIT 100000
#define HEAP_LIMIT  (64 * 1024) /* KiB */

struct mr_regex {
    char *source;
    size_t size;
    pcre2_general_context *general;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    uint32_t groups;
};

static void *regex_alloc(size_t size, void *ignored)
{
    (void)ignored;
    return mr_alloc(size);
}

static void regex_free(void *ptr, void *ignored)
{
    (void)ignored;
    mr_free(ptr);
}

static void reset_regex(struct mr_regex *regex)
{
    pcre2_match_data_free(regex->data);
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
    pcre2_general_context_free(regex->general);
    mr_free(regex->source);
    *regex = (struct mr_regex){0};
}

/* Of a node and thread. */
struct regexes {
    struct mr_regex of[MR_REGEXES];
};

static void release_regexes(void *state)
{
    struct regexes *regexes = state;
    for (int i = 0; i < MR_REGEXES; i++)
        reset_regex(&regexes->of[i]);
}

static enum mr_status compile_error(struct mr_call *call, struct mr_slice pattern, int code,
                                    size_t offset)
{
    char message[200] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR8 *)message, sizeof(message));
    return mr_call_fail(call, "the regular expression '%.*s' is wrong at byte %zu: %s",
                        (int)(pattern.size > 80 ? 80 : pattern.size), pattern.data, offset + 1,
                        message);
}

static enum mr_status compile(struct mr_call *call, struct mr_regex *regex, struct mr_slice pattern)
{
    int code = 0;
    size_t offset = 0;
    reset_regex(regex);
    regex->source = mr_alloc(pattern.size + 1);
    regex->general = pcre2_general_context_create(regex_alloc, regex_free, NULL);
    if (regex->source == NULL || regex->general == NULL)
        return mr_error_nomem(call->err);
    pcre2_compile_context *context = pcre2_compile_context_create(regex->general);
    if (context == NULL)
        return mr_error_nomem(call->err);
    struct mr_bytes rewritten;
    mr_bytes_init(&rewritten, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&rewritten, "");
    mr_regex_from_java(pattern, &rewritten);
    pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
    if (rewritten.status == MR_OK)
        regex->code =
            pcre2_compile((PCRE2_SPTR8)(rewritten.size ? rewritten.data : ""), rewritten.size,
                          PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &code, &offset,
                          context);
    else
        code = PCRE2_ERROR_NOMEMORY;
    mr_bytes_reset(&rewritten);
    pcre2_compile_context_free(context);
    if (regex->code == NULL && code == PCRE2_ERROR_NOMEMORY)
        return mr_error_nomem(call->err);
    if (regex->code == NULL)
        return compile_error(call, pattern, code, offset);
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
    regex->data = pcre2_match_data_create_from_pattern(regex->code, regex->general);
    regex->context = pcre2_match_context_create(regex->general);
    if (regex->data == NULL || regex->context == NULL)
        return mr_error_nomem(call->err);
    pcre2_set_match_limit(regex->context, MATCH_LIMIT);
    pcre2_set_depth_limit(regex->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(regex->context, HEAP_LIMIT);
    if (pattern.size > 0)
        memcpy(regex->source, pattern.data, pattern.size);
    regex->size = pattern.size;
    return MR_OK;
}

enum mr_status mr_regex_get(struct mr_call *call, int which, struct mr_slice pattern,
                            struct mr_regex **out)
{
    struct regexes *regexes = mr_call_state(call, sizeof(*regexes), release_regexes);
    if (regexes == NULL)
        return mr_error_nomem(call->err);
    struct mr_regex *regex = *out = &regexes->of[which];
    if (regex->context != NULL && regex->size == pattern.size &&
        (pattern.size == 0 || memcmp(regex->source, pattern.data, pattern.size) == 0))
        return MR_OK;
    enum mr_status status = compile(call, regex, pattern);
    if (status != MR_OK)
        reset_regex(regex);
    return status;
}

int mr_regex_match(struct mr_call *call, struct mr_regex *regex, struct mr_slice text, size_t from,
                   const size_t **groups)
{
    int found = pcre2_match(regex->code, (PCRE2_SPTR8)(text.data ? text.data : ""), text.size, from,
                            PCRE2_NO_UTF_CHECK, regex->data, regex->context);
    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found < 0) {
        char message[200] = "";
        pcre2_get_error_message(found, (PCRE2_UCHAR8 *)message, sizeof(message));
        mr_call_fail(call, "the regular expression '%.*s' gave up on a text of %zu bytes: %s",
                     (int)(regex->size > 80 ? 80 : regex->size), regex->source, text.size, message);
        return -1;
    }
    *groups = pcre2_get_ovector_pointer(regex->data);
    for (uint32_t i = (uint32_t)found; i <= regex->groups; i++) {
        size_t *pairs = pcre2_get_ovector_pointer(regex->data);
        pairs[2 * i] = pairs[2 * i + 1] = (size_t)-1;
    }
    return (int)regex->groups + 1;
}

int mr_regex_groups(const struct mr_regex *regex)
{
    return (int)regex->groups;
}

int mr_regex_group_named(const struct mr_regex *regex, const char *name)
{
    int group = pcre2_substring_number_from_name(regex->code, (PCRE2_SPTR8)name);
    return group > 0 ? group : -1;
}

/*
 * json_index.h - where the tokens of JSON text are, by simdjson's first stage. The only header of ours that C++ sees.
 */
#ifndef MR_ENC_JSON_INDEX_H
#define MR_ENC_JSON_INDEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mr_json_index;

enum mr_json_indexed {
    MR_JSON_INDEXED,
    MR_JSON_INDEX_NOMEM,
    MR_JSON_INDEX_UTF8,   /* not UTF-8 */
    MR_JSON_INDEX_STRING, /* a string is open at the end, or holds a control character */
};

/* NULL: out of memory. */
struct mr_json_index *mr_json_index_new(void);
void mr_json_index_free(struct mr_json_index *index);
/* Room for texts of up to `size` bytes; takes MR_JSON_INDEX_COST times as much memory. False: none. */
#define MR_JSON_INDEX_COST 5
int mr_json_index_reserve(struct mr_json_index *index, size_t size);
/*
 * Offsets of { } [ ] : , and of the first byte of each string, number and word; (*tokens)[*count] is `size`. They are valid
 * until the next call. `size` is within the room reserved.
 */
enum mr_json_indexed mr_json_index_run(struct mr_json_index *index, const char *text, size_t size,
                                       const uint32_t **tokens, uint32_t *count);

#ifdef __cplusplus
}
#endif

#endif

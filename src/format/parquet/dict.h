/*
 * dict.h - the dictionary of one column chunk: value -> id in the order of first appearance.
 */
#ifndef MR_FORMAT_PARQUET_DICT_H
#define MR_FORMAT_PARQUET_DICT_H

#include "base/buffer.h"

struct mr_pq_dict {
    struct mr_memory *memory;
    int width;       /* 4, 8, 16 or 0 (bytes) */
    uint32_t count;  /* entries */
    uint32_t nslots; /* a power of two, or 0 */
    int shift;       /* 64 - log2(nslots) */
    struct mr_buffer *slots;
    struct mr_buffer
        *values; /* fixed: entries in memory form; bytes: each as PLAIN (uint32 length, bytes) */
    struct mr_buffer *starts; /* bytes: uint32 offset of each entry in `values`, count + 1 */
};

void mr_pq_dict_init(struct mr_pq_dict *dict, struct mr_memory *memory, int width);
/* Frees everything; usable again. */
void mr_pq_dict_reset(struct mr_pq_dict *dict);
/* Puts `count` values and writes their ids. `values`: count * width bytes, aligned to 4 or 8. */
enum mr_status mr_pq_dict_put_fixed(struct mr_pq_dict *dict, const void *values, int64_t count,
                                    uint32_t *ids, struct mr_error *err);
enum mr_status mr_pq_dict_put_bytes(struct mr_pq_dict *dict, const uint8_t *data,
                                    const int32_t *starts, const int32_t *ends, int64_t count,
                                    uint32_t *ids, struct mr_error *err);
/* Bytes that its values take in a PLAIN page (16-byte values counted as 16). */
static inline size_t mr_pq_dict_bytes(const struct mr_pq_dict *dict)
{
    return dict->values ? dict->values->size : 0;
}

#endif

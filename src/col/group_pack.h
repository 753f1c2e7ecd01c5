/*
 * group_pack.h - keys of a group table as rows of 64-bit words; private to group_*.c.
 */
#ifndef MR_COL_GROUP_PACK_H
#define MR_COL_GROUP_PACK_H

#include "base/bytes.h"
#include "col/kernel.h"

/* Texts of up to so many bytes lie in their slot. */
#define MR_GROUP_INLINE 12
#define MR_GROUP_NULL   UINT32_MAX /* length of a NULL text */

/* Where a key column lies in a packed row. */
struct mr_group_slot {
    const struct mr_type *type;
    enum mr_layout layout;
    bool bytes;  /* two words: a text, or the encoding of a nested value */
    int offset;  /* bytes from the start of the row */
    int width;   /* bytes */
    int null_at; /* bit that says NULL, from the start of the row; -1 for `bytes` and NULL types */
};

struct mr_group_layout {
    int nkeys;
    int ntexts; /* slots of kind `bytes`: the first 2 * ntexts words of a row */
    int words;  /* 64-bit words of a row, at least 1 */
    struct mr_group_slot *slots;
};

enum mr_status mr_group_layout_init(struct mr_group_layout *layout,
                                    const struct mr_type *const *types, int ntypes,
                                    struct mr_error *err);
void mr_group_layout_reset(struct mr_group_layout *layout);

/*
 * What packing one call's columns needs besides them: each dictionary packed once. Long texts in the
 * packed rows point into the columns, nested values into `encoded`.
 */
struct mr_group_packer {
    const struct mr_group_layout *layout;
    struct mr_column *const *keys;
    const int32_t *rows;
    uint64_t **entries;       /* by key: two words a dictionary entry; or NULL */
    struct mr_bytes *encoded; /* by key: encodings of the last block */
};
enum mr_status mr_group_packer_init(struct mr_group_packer *packer,
                                    const struct mr_group_layout *layout,
                                    struct mr_column *const *keys, const int32_t *rows,
                                    int64_t count, struct mr_error *err);
void mr_group_packer_reset(struct mr_group_packer *packer);
/* Most rows of one packing. */
#define MR_GROUP_BLOCK 1024
/*
 * Packs rows [start, start + n) of the call, or those whose indexes in it are `picks`, into out[0 ..
 * n * layout->words).
 */
enum mr_status mr_group_pack(struct mr_group_packer *packer, int64_t start, const int32_t *picks,
                             int64_t n, uint64_t *out, struct mr_error *err);
/* Hashes of n packed rows: equal rows have equal ones. They depend on this build, and are not mr_column_hash. */
void mr_group_hash(const struct mr_group_layout *layout, const uint64_t *packed, int64_t n,
                   uint64_t *hashes);
/* The column of key `key` of the packed rows `packed`: row groups[i], or from + i. */
enum mr_status mr_group_unpack(const struct mr_group_layout *layout, int key,
                               const uint64_t *packed, const uint32_t *groups, int64_t from,
                               int64_t count, struct mr_memory *memory, struct mr_column **out,
                               struct mr_error *err);

/* The bytes of a text slot that is not NULL. */
static inline struct mr_slice mr_group_text(const uint64_t *slot)
{
    uint32_t size = (uint32_t)slot[0];
    if (size <= MR_GROUP_INLINE)
        return (struct mr_slice){(const char *)slot + 4, size};
    return (struct mr_slice){(const char *)(uintptr_t)slot[1], size};
}
static inline bool mr_group_text_is_long(const uint64_t *slot)
{
    uint32_t size = (uint32_t)slot[0];
    return size > MR_GROUP_INLINE && size != MR_GROUP_NULL;
}

#endif

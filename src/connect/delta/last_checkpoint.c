/*
 * last_checkpoint.c - _delta_log/_last_checkpoint, the hint where the newest checkpoint is.
 *
 * It is advice: absent, cut short or not JSON only costs the listing of the whole log. Of its
 * members only the version is believed; which files a checkpoint has is read from the listing.
 */
#include "base/text.h"
#include "connect/delta/private.h"

#define HINT_PATH DELTA_LOG_DIRECTORY "_last_checkpoint"
/* checkpointSchema makes it a few hundred kilobytes at most */
#define HINT_MAX ((int64_t)16 << 20)

static int64_t version_of(struct mr_slice text)
{
    struct mr_json_tree tree;
    mr_json_tree_init(&tree);
    int64_t version = -1;
    if (mr_json_tree_parse(&tree, text, 0) && tree.count && tree.nodes[0].kind == MR_JSON_OBJECT) {
        for (uint32_t i = 1; i < tree.nodes[0].next; i = tree.nodes[i].next) {
            if (mr_slice_equal(mr_json_raw_key(&tree, i), mr_slice_of("version")) &&
                tree.nodes[i].kind == MR_JSON_INTEGER &&
                !mr_text_to_int64(mr_json_raw(&tree, i), false, &version))
                version = -1;
        }
    }
    mr_json_tree_reset(&tree);
    return version < 0 ? -1 : version;
}

enum mr_status delta_last_checkpoint(const struct delta_table *table, int64_t *version,
                                     struct mr_error *err)
{
    *version = -1;
    struct mr_store_entry entry;
    bool exists;
    MR_TRY(table->store->stat(table->handle, HINT_PATH, &entry, &exists, err));
    if (!exists || entry.size > HINT_MAX)
        return MR_OK;
    struct mr_arena arena;
    mr_arena_init(&arena, table->runtime->memory);
    struct mr_slice text;
    /* replaced while we read: then it is not believed */
    if (delta_load(table, HINT_PATH, entry.size, &arena, &text, NULL) == MR_OK)
        *version = version_of(text);
    mr_arena_reset(&arena);
    return MR_OK;
}

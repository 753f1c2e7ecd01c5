/*
 * group_lanes.c - which lanes of a shared stream the state knows, for those who look at it without being in the group.
 */
#include "run/group.h"

#include <stdlib.h>
#include <string.h>

bool mr_group_has_begun(const struct mr_epoch_record *record)
{
    return record->phase != MR_EPOCH_NONE && record->fingerprint != NULL &&
           strncmp(record->fingerprint, MR_GROUP_MARK, strlen(MR_GROUP_MARK)) == 0;
}

/* "t/9" stands in front of "t/10". */
static int by_name(const void *a, const void *b)
{
    const char *left = ((const struct mr_group_lane *)a)->name;
    const char *right = ((const struct mr_group_lane *)b)->name;
    const char *slash = strrchr(left, '/'), *other = strrchr(right, '/');
    if (slash == NULL || other == NULL || slash - left != other - right ||
        memcmp(left, right, (size_t)(slash - left)) != 0 || strlen(slash) == strlen(other))
        return strcmp(left, right);
    return strlen(slash) < strlen(other) ? -1 : 1;
}

enum mr_status mr_group_lanes(struct mr_state *state, const char *key, struct mr_arena *arena,
                              struct mr_group_lane **out, int *count, struct mr_error *err)
{
    const char *const *keys = NULL;
    int nkeys = 0;
    *count = 0;
    MR_TRY(mr_state_lane_keys(state, key, arena, &keys, &nkeys, err));
    *out = mr_arena_calloc(arena, (size_t)nkeys + 1, sizeof **out);
    if (*out == NULL)
        return mr_error_nomem(err);
    /* Another pipeline's key may begin like that: names of lanes have a '/'. */
    for (int i = 0; i < nkeys; i++)
        if (strchr(keys[i] + strlen(key), '/') != NULL)
            (*out)[(*count)++] =
                (struct mr_group_lane){.name = keys[i] + strlen(key) + 1, .key = keys[i]};
    qsort(*out, (size_t)*count, sizeof **out, by_name);
    return MR_OK;
}

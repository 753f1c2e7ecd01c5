/*
 * dict_kernel.h - body of the lookup loop of dict.c for one integer width; included per type.
 * KEY: the integer type. SLOT: struct of key and id. NAME: the function.
 */
static enum mr_status NAME(struct mr_pq_dict *dict, const KEY *values, int64_t count, uint32_t *ids,
                           struct mr_error *err)
{
    SLOT *slots = (SLOT *)(void *)dict->slots->data;
    uint32_t mask = dict->nslots - 1;
    int shift = dict->shift;
    for (int64_t i = 0; i < count; i++) {
        KEY value = values[i];
        uint32_t at = (uint32_t)(((uint64_t)value * MULTIPLIER) >> shift);
        while (slots[at].id != 0 && slots[at].key != value)
            at = (at + 1) & mask;
        uint32_t id = slots[at].id;
        if (__builtin_expect(id == 0, 0)) {
            MR_TRY(append_fixed(dict, &value, err));
            id = dict->count;
            slots[at] = (SLOT){value, id};
            if (dict->count * 2 > dict->nslots) {
                MR_TRY(grow(dict, err));
                slots = (SLOT *)(void *)dict->slots->data;
                mask = dict->nslots - 1;
                shift = dict->shift;
            }
        }
        ids[i] = id - 1;
    }
    return MR_OK;
}

/*
 * json_index.cc - the one C++ file: simdjson behind extern "C".
 *
 * Only its first stage is used: with vector instructions chosen at run time it finds all tokens of a text of any number of
 * documents, and checks UTF-8 and that strings end and hold no control characters. What tokens mean is json_decode.c's
 * business, straight into columns: the second stage's trees lose the digits of decimals and refuse integers of
 * 20 digits, and the on-demand reader checks only what it is asked for. The stage is a virtual function of the
 * library's parser class, marked as internal there; it has had this form since 1.0.
 */
#include "enc/json_index.h"

#include <memory>
#include <new>
#include <simdjson.h>

using parser = simdjson::internal::dom_parser_implementation;

struct mr_json_index {
    std::unique_ptr<parser> impl;
    size_t room;
};

extern "C" struct mr_json_index *mr_json_index_new(void)
{
    auto *index = new (std::nothrow) mr_json_index;
    if (index == nullptr)
        return nullptr;
    index->room = 0;
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(64, 1,
                                                                                index->impl) !=
        simdjson::SUCCESS) {
        delete index;
        return nullptr;
    }
    return index;
}

extern "C" void mr_json_index_free(struct mr_json_index *index)
{
    delete index;
}

extern "C" int mr_json_index_reserve(struct mr_json_index *index, size_t size)
{
    if (size <= index->room)
        return 1;
    if (index->impl->set_capacity(size) != simdjson::SUCCESS)
        return 0;
    index->room = size;
    return 1;
}

extern "C" enum mr_json_indexed mr_json_index_run(struct mr_json_index *index, const char *text,
                                                  size_t size, const uint32_t **tokens,
                                                  uint32_t *count)
{
    static const uint32_t none = 0;
    parser &impl = *index->impl;
    simdjson::error_code code = simdjson::EMPTY;
    if (size > 0)
        code = impl.stage1(reinterpret_cast<const uint8_t *>(text), size,
                           simdjson::stage1_mode::regular);
    *tokens = &none;
    *count = 0;
    switch (code) {
    case simdjson::SUCCESS:
        *tokens = impl.structural_indexes.get();
        *count = impl.n_structural_indexes;
        return MR_JSON_INDEXED;
    case simdjson::EMPTY:
        return MR_JSON_INDEXED;
    case simdjson::MEMALLOC:
    case simdjson::CAPACITY:
        return MR_JSON_INDEX_NOMEM;
    case simdjson::UTF8_ERROR:
        return MR_JSON_INDEX_UTF8;
    default:
        return MR_JSON_INDEX_STRING;
    }
}

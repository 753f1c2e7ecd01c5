/*
 * fuzz_config.c - any bytes as a pipeline file: a spec or at least one error with a message, never a crash or a leak.
 */
#include "config/load.h"
#include "fake_registry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_load_request request = {.file = "no-such-folder/p.json",
                                      .text = (const char *)data,
                                      .text_size = size,
                                      .registry = &fake_registry,
                                      .credentials_file = "no-such-folder/credentials.json",
                                      .run_id = "r",
                                      .run_date = "2026-01-01"};
    static struct mr_load_errors errors;
    const struct mr_spec *spec = NULL;
    enum mr_status status = mr_config_load(&request, &arena, &spec, &errors);
    if ((status == MR_OK) != (spec != NULL) || (status == MR_OK) != (errors.count == 0))
        abort();
    if (status != MR_OK && errors.items[0].message[0] == '\0')
        abort();
    struct mr_error err;
    if (spec != NULL)
        mr_spec_need_credentials(spec, &err);
    mr_arena_reset(&arena);
    return 0;
}

/*
 * methods.c - what `millrace methods` prints, out of the registry.
 */
#include "api/methods.h"

#include "api/pipeline.h"
#include "config/describe.h"

enum mr_status mr_api_methods(const char *name, struct mr_bytes *out, struct mr_error *err)
{
    const struct mr_registry *registry = mr_api_registry();
    if (name == NULL) {
        mr_config_describe_methods(registry, out);
        return mr_bytes_status(out, err);
    }
    const struct mr_method *method = mr_registry_method(registry, name);
    if (method == NULL) {
        mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "no method \"%.80s\"", name);
        const char *nearest = mr_registry_nearest_method(registry, name);
        if (nearest != NULL)
            mr_error_hint(err, "did you mean %s?", nearest);
        return MR_USAGE;
    }
    mr_config_describe_method(method, out);
    return mr_bytes_status(out, err);
}

/*
 * protocol.c - which tables this reader can read.
 *
 * Versions 1 and 2 are numbers, version 3 is a list of names. Only reader features matter here: a
 * writer feature changes nothing of what rows a table has. Whatever is not in the table below is
 * refused by name, the unknown too: guessing would give wrong rows.
 */
#include "connect/delta/private.h"

static const char *const readable[] = {
    "columnMapping", "deletionVectors",      "timestampNtz", "timestampWithoutTimezone",
    "typeWidening",  "typeWidening-preview", "v2Checkpoint", "vacuumProtocolCheck",
};

#define NREADABLE (sizeof readable / sizeof *readable)

static bool is_readable(const char *feature)
{
    for (size_t i = 0; i < NREADABLE; i++) {
        if (strcmp(readable[i], feature) == 0)
            return true;
    }
    return false;
}

static const char *without_alias(const char *feature)
{
    if (strcmp(feature, "timestampWithoutTimezone") == 0)
        return "timestampNtz";
    if (strcmp(feature, "typeWidening-preview") == 0)
        return "typeWidening";
    return feature;
}

bool delta_protocol_reads(const struct delta_protocol *protocol, const char *feature)
{
    if (protocol->reader == 2)
        return strcmp(feature, "columnMapping") == 0;
    for (const char *const *at = protocol->reader_features; at && *at; at++) {
        if (strcmp(without_alias(*at), without_alias(feature)) == 0)
            return true;
    }
    return false;
}

enum mr_status delta_check_readable(const struct delta_protocol *protocol, const char *table,
                                    struct mr_error *err)
{
    if (protocol->reader < 1 || protocol->writer < 1)
        return mr_error_data(err, MR_SOURCE,
                             "%s: the protocol's versions (reader %d, writer %d) are not valid",
                             table, protocol->reader, protocol->writer);
    if (protocol->reader > 3) {
        mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                     "%s needs reader version %d of the Delta protocol; this reader knows 1 to 3",
                     table, protocol->reader);
        return MR_SOURCE;
    }
    if (protocol->reader == 3 && !protocol->reader_features)
        return mr_error_data(err, MR_SOURCE,
                             "%s: the protocol has reader version 3 without readerFeatures", table);
    struct mr_bytes missing;
    mr_bytes_init(&missing, 600);
    for (const char *const *at = protocol->reader_features; at && *at; at++) {
        if (!is_readable(*at))
            mr_bytes_printf(&missing, "%s%s", missing.size ? ", " : "", *at);
    }
    enum mr_status status = MR_OK;
    if (missing.size || missing.status != MR_OK) {
        status = mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                              "%s uses features of Delta Lake that this reader does not have: %s "
                              "(reader version %d, writer version %d)",
                              table, missing.size ? missing.data : "too many to name",
                              protocol->reader, protocol->writer);
        if (err)
            mr_error_hint(err, "readable are columnMapping, deletionVectors, timestampNtz, "
                               "typeWidening, v2Checkpoint and vacuumProtocolCheck");
    }
    mr_bytes_reset(&missing);
    return status;
}

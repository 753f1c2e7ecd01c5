/*
 * drain.c - reads a table by binary COPY over several connections and throws every byte away.
 *
 * This is the floor under any reader: the same server work, the same libpq, the same ctid ranges,
 * nothing done with the rows. Threads take the next range until none is left, as the engine's workers
 * do. Prints one JSON object.
 *
 *   drain CONNINFO TABLE CONNECTIONS RANGES
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

struct drain {
    const char *conninfo;
    const char *table;
    int ranges;
    long pages;
    atomic_int next;
    atomic_long rows;
    atomic_long bytes;
    atomic_bool failed;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void drain_fail(struct drain *drain, PGconn *conn)
{
    fprintf(stderr, "drain: %s", PQerrorMessage(conn));
    atomic_store(&drain->failed, true);
}

static PGconn *drain_connect(struct drain *drain)
{
    PGconn *conn = PQconnectdb(drain->conninfo);

    if (PQstatus(conn) != CONNECTION_OK) {
        drain_fail(drain, conn);
        PQfinish(conn);
        return NULL;
    }
    return conn;
}

/* One range; false ends the thread. The first range has no lower bound and the last no upper one. */
static bool drain_range(struct drain *drain, PGconn *conn, int range)
{
    char sql[512];
    char *row;
    long low = drain->pages * range / drain->ranges;
    long high =
        range + 1 == drain->ranges ? 4294967295L : drain->pages * (range + 1) / drain->ranges;
    long rows = 0;
    long bytes = 0;
    int size;

    snprintf(sql, sizeof(sql),
             "COPY (SELECT * FROM %s WHERE ctid >= '(%ld,0)' AND ctid < '(%ld,0)') TO STDOUT "
             "(FORMAT binary)",
             drain->table, low, high);
    PQclear(PQexec(conn, sql));
    while ((size = PQgetCopyData(conn, &row, 0)) > 0) {
        rows++;
        bytes += size;
        PQfreemem(row);
    }
    PQclear(PQgetResult(conn));
    if (size != -1) {
        drain_fail(drain, conn);
        return false;
    }
    atomic_fetch_add(&drain->rows, rows - 1); /* the trailer comes as a row of its own */
    atomic_fetch_add(&drain->bytes, bytes);
    return true;
}

static void *drain_thread(void *argument)
{
    struct drain *drain = argument;
    PGconn *conn = drain_connect(drain);
    int range;

    if (conn == NULL)
        return NULL;
    while (!atomic_load(&drain->failed) &&
           (range = atomic_fetch_add(&drain->next, 1)) < drain->ranges)
        if (!drain_range(drain, conn, range))
            break;
    PQfinish(conn);
    return NULL;
}

static bool drain_pages(struct drain *drain)
{
    char sql[256];
    PGconn *conn = drain_connect(drain);
    PGresult *result;
    bool ok;

    if (conn == NULL)
        return false;
    snprintf(sql, sizeof(sql), "SELECT pg_relation_size('%s') / 8192", drain->table);
    result = PQexec(conn, sql);
    ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (ok)
        drain->pages = atol(PQgetvalue(result, 0, 0));
    else
        drain_fail(drain, conn);
    PQclear(result);
    PQfinish(conn);
    return ok;
}

int main(int argc, char **argv)
{
    struct drain drain = {0};
    struct rusage usage;
    pthread_t threads[64];
    double began = seconds();
    int connections;

    if (argc != 5 || (connections = atoi(argv[3])) < 1 || connections > 64) {
        fprintf(stderr, "usage: drain CONNINFO TABLE CONNECTIONS RANGES\n");
        return 2;
    }
    drain.conninfo = argv[1];
    drain.table = argv[2];
    drain.ranges = atoi(argv[4]);
    if (!drain_pages(&drain))
        return 1;
    for (int i = 0; i < connections; i++)
        pthread_create(&threads[i], NULL, drain_thread, &drain);
    for (int i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"rows\": %ld, \"bytes\": %ld, \"wall\": %.3f, \"cpu\": %.3f}\n", drain.rows,
           drain.bytes, seconds() - began,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return atomic_load(&drain.failed) ? 1 : 0;
}

/*
 * progress_bar.c - rows, bytes, rate and time left: a bar that redraws itself on a terminal, plain lines elsewhere.
 */
#include "cli/cli.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_INTERVAL_MICROS 5000000
#define BAR_CELLS            24

void mr_cli_bar_init(struct mr_cli_bar *bar, enum mr_cli_progress mode)
{
    *bar = (struct mr_cli_bar){.mode = mode,
                               .terminal = isatty(STDERR_FILENO) == 1,
                               .started = mr_clock_monotonic_micros()};
    bar->last_line = bar->started;
}

/* "1,234,567" */
static const char *grouped(int64_t value, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%lld", (long long)value);
    char *at = out;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0 && digits[i - 1] != '-')
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}

static void describe(const struct mr_cli_bar *bar, const struct millrace_progress *progress,
                     char *out, size_t capacity)
{
    char rows[32], rate[32], bytes[32], left[64] = "";
    double seconds = (double)(mr_clock_monotonic_micros() - bar->started) / 1e6;
    double per_second = seconds > 0 ? (double)progress->rows_read / seconds : 0;
    mr_size_format(progress->bytes_read, bytes, sizeof bytes);
    if (!progress->done && per_second > 0 && progress->rows_expected > progress->rows_read)
        snprintf(left, sizeof left, ", about %.0f s left",
                 (double)(progress->rows_expected - progress->rows_read) / per_second);
    snprintf(out, capacity, "%s rows read (%s), %s rows/s, split %d of %d%s",
             grouped(progress->rows_read, rows), bytes, grouped((int64_t)per_second, rate),
             progress->splits_done, progress->splits, left);
}

static void draw(const struct millrace_progress *progress, const char *text)
{
    double share = progress->done ? 1.0
                   : progress->rows_expected > 0
                       ? (double)progress->rows_read / (double)progress->rows_expected
                       : 0;
    int full = (int)(share * BAR_CELLS);
    char cells[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++)
        cells[i] = i < full ? '#' : '.';
    cells[BAR_CELLS] = '\0';
    fprintf(stderr, "\r[%s] %s\033[K", cells, text);
    if (progress->done)
        fputc('\n', stderr);
    fflush(stderr);
}

void mr_cli_bar_update(void *context, const struct millrace_progress *progress)
{
    struct mr_cli_bar *bar = context;
    char text[256];
    int64_t now = mr_clock_monotonic_micros();
    if (bar->mode == MR_CLI_PROGRESS_NONE)
        return;
    describe(bar, progress, text, sizeof text);
    if (bar->mode == MR_CLI_PROGRESS_AUTO && bar->terminal) {
        draw(progress, text);
    } else if (progress->done || now - bar->last_line >= LINE_INTERVAL_MICROS) {
        bar->last_line = now;
        fprintf(stderr, "%s%s%s\n", bar->name ? bar->name : "", bar->name ? ": " : "", text);
    }
}

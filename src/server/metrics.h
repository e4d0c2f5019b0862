/* Metrics: one table says what there is. /metrics, `perdure metrics docs` and docs/metrics.md follow from it.
 *
 * Names follow the conventions of Prometheus: a prefix, base units, the unit at the end, _total for what only grows. They
 * are an interface: one that is there stays, or its end is told in CHANGELOG.md.
 *
 * Sources: https://prometheus.io/docs/practices/naming/, the text format 0.0.4 of Prometheus, OpenMetrics 1.0.0. */
#ifndef PD_SERVER_METRICS_H
#define PD_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "backup/scheduler.h"
#include "base/buffer.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/upkeep.h"
#include "front/http/front.h"
#include "front/resp/figures.h"
#include "net/net.h"
#include "os/process.h"

#define PD_METRIC_UNKNOWN UINT64_MAX /* a figure that nobody knows: it is left out */

/* Everything that a metric may be made of, as of one moment. */
struct pd_metrics_facts {
	struct pd_engine_stats engine;
	struct pd_resp_figures resp;
	struct pd_http_figures http;
	struct pd_net_stats net;
	struct pd_memory_report memory;
	struct pd_os_process process;
	uint64_t start_us; /* when the process began, since 1970 */
	uint64_t ready, recovering, draining, fenced, disk_full, state_damaged, state_failing; /* 0 or 1 */
	uint64_t disk_free_bytes; /* PD_METRIC_UNKNOWN: no disk */
	uint64_t connections_max;
	uint64_t archive_configured; /* 0: there is no archive, and the others are 0 */
	uint64_t archive_lsn, archive_us, archive_lag_us, archive_lag_bytes, archive_waiting_bytes,
		archive_failing;
	uint64_t archive_failures, archive_gaps, archive_objects, archive_bytes;
	uint64_t backups_configured; /* 0: there are no schedules, and the others are 0 */
	uint64_t backups_known,
		backups_failing; /* 0 or 1: the repository has been read; something fails and is tried again */
	uint64_t drill_failing;  /* 0 or 1 */
	struct pd_backup_schedule_status backups;
	uint64_t now_us;              /* since 1970 */
	uint64_t messages_suppressed; /* lines that were not logged */
};

enum pd_metric_kind {
	PD_METRIC_COUNTER,
	PD_METRIC_GAUGE,
	PD_METRIC_HISTOGRAM,
	PD_METRIC_INFO,
};

struct pd_metrics_writer;

struct pd_metric {
	const char *name; /* without _total, _info; ends with its unit, if it has one */
	enum pd_metric_kind kind;
	const char *unit;   /* "seconds", "bytes"; NULL: a plain number */
	const char *labels; /* for the page about it: "class, result"; NULL: none */
	const char *help;
	/* One figure: a uint64_t at this place in the facts, of which `per_unit` are one unit (0: as it is). */
	size_t offset;
	double per_unit;
	/* Or several: writes each with its labels. */
	int (*write)(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		     const struct pd_metrics_facts *facts);
};

/* What belongs together. */
struct pd_metric_group {
	const char *title;
	const struct pd_metric *metrics;
	size_t count;
};
extern const struct pd_metric_group pd_metric_groups[];
extern const size_t pd_metric_group_count;

enum pd_metrics_format {
	PD_METRICS_OPENMETRICS, /* 1.0.0 */
	PD_METRICS_TEXT,        /* Prometheus 0.0.4 */
};
#define PD_METRICS_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define PD_METRICS_TYPE_TEXT        "text/plain; version=0.0.4; charset=utf-8"

/* Append the whole page. PD_TOO_LARGE, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_metrics_write(struct pd_buffer *page, enum pd_metrics_format format,
				   const struct pd_metrics_facts *facts);
/* Append the page that explains them, in Markdown. */
PD_MUST_CHECK int pd_metrics_write_docs(struct pd_buffer *page);

/* ---- for the table's functions ---- */
/* One sample of a counter or a gauge; `labels`: `class="read"`, or NULL. */
PD_MUST_CHECK int pd_metrics_sample(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				    const char *labels, uint64_t value);
PD_MUST_CHECK int pd_metrics_sample_real(struct pd_metrics_writer *writer, const struct pd_metric *metric,
					 const char *labels, double value);
/* A histogram of times (pd_histogram_note_ns) in seconds, or of plain numbers. */
PD_MUST_CHECK int pd_metrics_times(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				   const char *labels, const struct pd_histogram *histogram);
PD_MUST_CHECK int pd_metrics_numbers(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				     const char *labels, const struct pd_histogram *histogram);

#endif

/* The table of metrics. */
#include "server/metrics.h"

#include <math.h>
#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define AT(field)       .offset = offsetof(struct pd_metrics_facts, field)
#define US_TO_S         .per_unit = 1e6

#define COUNTER(name_, help_, ...)                                                   \
	{                                                                            \
		.name = name_, .kind = PD_METRIC_COUNTER, .help = help_, __VA_ARGS__ \
	}
#define GAUGE(name_, help_, ...)                                                   \
	{                                                                          \
		.name = name_, .kind = PD_METRIC_GAUGE, .help = help_, __VA_ARGS__ \
	}
#define HISTOGRAM(name_, help_, ...)                                                   \
	{                                                                              \
		.name = name_, .kind = PD_METRIC_HISTOGRAM, .help = help_, __VA_ARGS__ \
	}
#define BYTES   .unit = "bytes"
#define SECONDS .unit = "seconds"

/* ---- with labels ---- */

static int write_build(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		       const struct pd_metrics_facts *facts)
{
	(void)facts;
	return pd_metrics_sample(writer, metric, "version=\"" PD_VERSION "\"", 1);
}

static int write_commands(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			  const struct pd_metrics_facts *facts)
{
	const struct pd_resp_counters *counters = &facts->resp.counters;
	int result = 0;

	for (unsigned i = 0; i < PD_RESP_CLASS_COUNT && result == 0; i++) {
		const struct {
			const char *name;
			uint64_t count;
		} results[] = { { "ok", counters->evaluation_time[i].count - counters->failed[i] },
				{ "error", counters->failed[i] },
				{ "rejected", counters->rejected[i] } };

		for (size_t n = 0; n < COUNT_OF(results) && result == 0; n++) {
			char labels[80];

			(void)snprintf(labels, sizeof labels, "class=\"%s\",result=\"%s\"",
				       pd_resp_class_names[i], results[n].name);
			result = pd_metrics_sample(writer, metric, labels, results[n].count);
		}
	}
	return result;
}

static int write_evaluation(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			    const struct pd_metrics_facts *facts)
{
	int result = 0;

	for (unsigned i = 0; i < PD_RESP_CLASS_COUNT && result == 0; i++) {
		char labels[40];

		(void)snprintf(labels, sizeof labels, "class=\"%s\"", pd_resp_class_names[i]);
		result = pd_metrics_times(writer, metric, labels, facts->resp.counters.evaluation_time + i);
	}
	return result;
}

static int write_settling(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			  const struct pd_metrics_facts *facts)
{
	return pd_metrics_times(writer, metric, NULL, &facts->resp.counters.settling_time);
}

struct labelled {
	const char *labels;
	uint64_t value;
};

static int write_labelled(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			  const struct labelled *samples, size_t count)
{
	int result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = pd_metrics_sample(writer, metric, samples[i].labels, samples[i].value);
	return result;
}

static int write_log_writes(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			    const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = { { "way=\"direct\"", facts->engine.log.direct_writes },
					    { "way=\"buffered\"", facts->engine.log.buffered_writes } };

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_group_write(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			     const struct pd_metrics_facts *facts)
{
	return pd_metrics_times(writer, metric, NULL, &facts->engine.log.write_time);
}

static int write_sync(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		      const struct pd_metrics_facts *facts)
{
	return pd_metrics_times(writer, metric, NULL, &facts->engine.log.sync_time);
}

static int write_group_records(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			       const struct pd_metrics_facts *facts)
{
	return pd_metrics_numbers(writer, metric, NULL, &facts->engine.log.group_records);
}

static int write_lsn(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		     const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "mark=\"first\"", facts->engine.log_first_lsn },
		{ "mark=\"tail\"", facts->engine.marks.tail_lsn },
		{ "mark=\"written\"", facts->engine.marks.written_lsn },
		{ "mark=\"durable\"", facts->engine.marks.durable_lsn },
		{ "mark=\"applied\"", facts->engine.store.applied.lsn },
		{ "mark=\"checkpoint\"", facts->engine.checkpoint_lsn },
		{ "mark=\"oldest\"", facts->engine.oldest_lsn },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_parts(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		       const struct pd_metrics_facts *facts, bool limits)
{
	int result = 0;

	for (size_t i = 0; i < facts->memory.count && result == 0; i++) {
		const struct pd_memory_part *part = facts->memory.parts + i;
		char labels[64];

		if (limits && part->limit == 0)
			continue;
		(void)snprintf(labels, sizeof labels, "part=\"%s\"", part->name);
		result = pd_metrics_sample(writer, metric, labels, limits ? part->limit : part->bytes);
	}
	return result;
}

static int write_memory(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			const struct pd_metrics_facts *facts)
{
	return write_parts(writer, metric, facts, false);
}

static int write_memory_limits(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			       const struct pd_metrics_facts *facts)
{
	return write_parts(writer, metric, facts, true);
}

static int write_memtables(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			   const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = { { "state=\"active\"", facts->engine.store.active_bytes },
					    { "state=\"frozen\"", facts->engine.store.frozen_bytes } };

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_frozen(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			const struct pd_metrics_facts *facts)
{
	return pd_metrics_sample(writer, metric, NULL, facts->engine.store.frozen);
}

static int write_rebuilt(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			 const struct pd_metrics_facts *facts)
{
	return pd_metrics_sample(writer, metric, NULL, facts->engine.recovery.rebuilt);
}

static int write_brake(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		       const struct pd_metrics_facts *facts)
{
	uint64_t rate = facts->engine.brake_bytes_per_s;

	return pd_metrics_sample_real(writer, metric, NULL, rate == UINT64_MAX ? INFINITY : (double)rate);
}

static int write_connections(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			     const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "door=\"resp\"", facts->resp.clients - facts->resp.operators },
		{ "door=\"admin\"", facts->resp.operators },
		{ "door=\"http\"", facts->http.connections },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_waiting(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			 const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "reason=\"settling\"", facts->resp.holding },
		{ "reason=\"unread_replies\"", facts->resp.stalled_unsent },
		{ "reason=\"memory\"", facts->resp.stalled_memory },
		{ "reason=\"brake\"", facts->resp.stalled_brake },
		{ "reason=\"other\"", facts->resp.stalled_other },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_logins(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "result=\"accepted\"", facts->resp.logins.accepted },
		{ "result=\"refused\"", facts->resp.logins.refused },
		{ "result=\"rejected\"", facts->resp.logins.rejected },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_state_failing(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			       const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "step=\"flush\"", facts->engine.state_failure[PD_STATE_FLUSH][0] != '\0' },
		{ "step=\"checkpoint\"", facts->engine.state_failure[PD_STATE_CHECKPOINT][0] != '\0' },
		{ "step=\"trim\"", facts->engine.state_failure[PD_STATE_TRIM][0] != '\0' },
		{ "step=\"removal\"", facts->engine.state_failure[PD_STATE_REMOVAL][0] != '\0' },
		{ "step=\"ahead\"", facts->engine.state_failure[PD_STATE_AHEAD][0] != '\0' },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_memory_refusals(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				 const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "what=\"request\"", facts->resp.refused_requests },
		{ "what=\"connection\"", facts->resp.refused_clients },
		{ "what=\"closed\"", facts->resp.closed_clients },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_http(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		      const struct pd_metrics_facts *facts)
{
	const struct labelled samples[] = {
		{ "result=\"ok\"", facts->http.requests - facts->http.errors },
		{ "result=\"error\"", facts->http.errors },
	};

	return write_labelled(writer, metric, samples, COUNT_OF(samples));
}

static int write_cpu(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		     const struct pd_metrics_facts *facts)
{
	return pd_metrics_sample_real(writer, metric, NULL,
				      (double)(facts->process.user_cpu_us + facts->process.system_cpu_us) /
					      1e6);
}

/* ---- backups ---- */

/* A figure of each kind. */
static int write_kinds(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		       const struct pd_metrics_facts *facts,
		       uint64_t (*figure)(const struct pd_backup_kind_status *kind), double per_unit)
{
	int result = 0;

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && result == 0; i++) {
		uint64_t value = figure(&facts->backups.kinds[i]);
		char labels[40];

		(void)snprintf(labels, sizeof labels, "kind=\"%s\"",
			       pd_backup_kind_name((enum pd_backup_kind)i));
		result = per_unit > 0
				 ? pd_metrics_sample_real(writer, metric, labels, (double)value / per_unit)
				 : pd_metrics_sample(writer, metric, labels, value);
	}
	return result;
}

static uint64_t backup_time(const struct pd_backup_kind_status *kind)
{
	return kind->well_us;
}

static uint64_t backup_lsn(const struct pd_backup_kind_status *kind)
{
	return kind->newest.end.lsn;
}

static uint64_t backup_sent(const struct pd_backup_kind_status *kind)
{
	return kind->newest.sent_bytes;
}

static uint64_t backup_stored(const struct pd_backup_kind_status *kind)
{
	return kind->newest.stored_bytes;
}

static uint64_t backup_duration(const struct pd_backup_kind_status *kind)
{
	return kind->newest.ended_us > kind->newest.begun_us ? kind->newest.ended_us - kind->newest.begun_us
							     : 0;
}

static int write_backup_times(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			      const struct pd_metrics_facts *facts)
{
	return write_kinds(writer, metric, facts, backup_time, 1e6);
}

static int write_backup_lsns(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			     const struct pd_metrics_facts *facts)
{
	return write_kinds(writer, metric, facts, backup_lsn, 0);
}

static int write_backup_sent(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			     const struct pd_metrics_facts *facts)
{
	return write_kinds(writer, metric, facts, backup_sent, 0);
}

static int write_backup_stored(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			       const struct pd_metrics_facts *facts)
{
	return write_kinds(writer, metric, facts, backup_stored, 0);
}

static int write_backup_durations(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				  const struct pd_metrics_facts *facts)
{
	return write_kinds(writer, metric, facts, backup_duration, 1e6);
}

/* Of what there should be, and is not, the age is infinite: an alert for what is too old fires. */
static double age_s(const struct pd_metrics_facts *facts, uint64_t then_us)
{
	if (then_us == 0)
		return facts->backups_configured != 0 ? INFINITY : 0;
	return facts->now_us > then_us ? (double)(facts->now_us - then_us) / 1e6 : 0;
}

static int write_backup_ages(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			     const struct pd_metrics_facts *facts)
{
	int result = 0;

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && result == 0; i++) {
		char labels[40];

		(void)snprintf(labels, sizeof labels, "kind=\"%s\"",
			       pd_backup_kind_name((enum pd_backup_kind)i));
		result = pd_metrics_sample_real(writer, metric, labels,
						age_s(facts, facts->backups.kinds[i].well_us));
	}
	return result;
}

static int write_backup_results(struct pd_metrics_writer *writer, const struct pd_metric *metric,
				const struct pd_metrics_facts *facts)
{
	int result = 0;

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && result == 0; i++) {
		const struct pd_backup_kind_status *kind = &facts->backups.kinds[i];
		const struct labelled results[] = { { "made", kind->made },
						    { "failed", kind->failed },
						    { "skipped", kind->skipped } };

		for (size_t n = 0; n < COUNT_OF(results) && result == 0; n++) {
			char labels[60];

			(void)snprintf(labels, sizeof labels, "kind=\"%s\",result=\"%s\"",
				       pd_backup_kind_name((enum pd_backup_kind)i), results[n].labels);
			result = pd_metrics_sample(writer, metric, labels, results[n].value);
		}
	}
	return result;
}

static int write_proven_age(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			    const struct pd_metrics_facts *facts)
{
	return pd_metrics_sample_real(writer, metric, NULL, age_s(facts, facts->backups.proof.proven_us));
}

static int write_drills(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			const struct pd_metrics_facts *facts)
{
	const struct pd_backup_drill_status *drill = &facts->backups.drill;
	const struct labelled results[] = { { "passed", drill->passed },
					    { "failed", drill->failed },
					    { "skipped", drill->skipped } };
	int result = 0;

	for (size_t n = 0; n < COUNT_OF(results) && result == 0; n++) {
		char labels[40];

		(void)snprintf(labels, sizeof labels, "result=\"%s\"", results[n].labels);
		result = pd_metrics_sample(writer, metric, labels, results[n].value);
	}
	return result;
}

static int write_uncopied(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			  const struct pd_metrics_facts *facts)
{
	int result = 0;

	for (unsigned i = 0; i < PD_PROFILE_COUNT && result == 0; i++) {
		char labels[40];

		(void)snprintf(labels, sizeof labels, "profile=\"%s\"",
			       pd_profile_class_name((enum pd_profile_class)i));
		result = pd_metrics_sample_real(writer, metric, labels,
						(double)facts->backups.waiting_us[i] / 1e6);
	}
	return result;
}

/* ---- the table ---- */

static const struct pd_metric server_metrics[] = {
	{ .name = "perdure_build",
	  .kind = PD_METRIC_INFO,
	  .labels = "version",
	  .help = "Which build this is.",
	  .write = write_build },
	GAUGE("perdure_ready", "1 when requests are served: what /readyz says.", AT(ready)),
	GAUGE("perdure_recovering", "1 while the log is being replayed.", AT(recovering)),
	GAUGE("perdure_draining", "1 from the moment at which the server was told to end.", AT(draining)),
	GAUGE("perdure_log_fenced", "1 when the log is fenced: nothing is written until a restart.",
	      AT(fenced)),
	GAUGE("perdure_disk_full", "1 while writes are refused for want of disk space.", AT(disk_full)),
	GAUGE("perdure_state_damaged", "1 when damage was met in the state on disk.", AT(state_damaged)),
	GAUGE("perdure_state_failing", "1 while that step of the state's way to the disk fails.",
	      .labels = "step", .write = write_state_failing),
	COUNTER("perdure_log_messages_suppressed",
		"Lines that were not logged since their like came too often.", AT(messages_suppressed)),
};

static const struct pd_metric command_metrics[] = {
	COUNTER("perdure_commands",
		"Commands by what they are about, and what became of them: rejected ones were not run.",
		.labels = "class, result", .write = write_commands),
	HISTOGRAM("perdure_command_evaluation_seconds",
		  "Time to parse and evaluate one command, without the wait for the disk.", SECONDS,
		  .labels = "class", .write = write_evaluation),
	HISTOGRAM("perdure_reply_settling_seconds",
		  "Time that a reply was held after its evaluation, until all that it could have seen had "
		  "settled. Replies that wait for nothing are not counted.",
		  SECONDS, .write = write_settling),
	COUNTER("perdure_transactions", "Transactions that wrote a record.", AT(engine.transactions)),
	COUNTER("perdure_transaction_conflicts", "Transactions whose preconditions did not hold.",
		AT(engine.conflicts)),
	COUNTER("perdure_duplicate_requests",
		"Requests answered from the stored result of their idempotency key.", AT(engine.duplicates)),
	COUNTER("perdure_writes_refused_disk_full", "Writes refused since the disk was full.",
		AT(engine.refused_no_space)),
	COUNTER("perdure_braked_writes", "Writes that had to wait since flushing or compaction was behind.",
		AT(engine.braked)),
	GAUGE("perdure_large_values_unfinished",
	      "Large values that are arriving, or are to be removed when nobody reads them any more.",
	      AT(engine.large_unfinished)),
	GAUGE("perdure_large_values_read", "Large values that clients are reading.",
	      AT(engine.large_readers)),
	GAUGE("perdure_brake_limit_bytes_per_second", "How fast writes are let through; +Inf: as they come.",
	      .write = write_brake),
};

static const struct pd_metric log_metrics[] = {
	HISTOGRAM("perdure_log_group_write_seconds",
		  "Time until a group of records has landed: on stable storage, or, for weak levels, in the "
		  "page "
		  "cache.",
		  SECONDS, .write = write_group_write),
	HISTOGRAM("perdure_log_sync_seconds", "Time of a sync by itself, behind writes to the page cache.",
		  SECONDS, .write = write_sync),
	HISTOGRAM("perdure_log_group_records", "Records in a group: how many share one write.",
		  .write = write_group_records),
	COUNTER("perdure_log_groups", "Groups written.", AT(engine.log.groups)),
	COUNTER("perdure_log_records", "Records written.", AT(engine.log.records)),
	COUNTER("perdure_log_written_bytes", "Bytes written to the log.", BYTES,
		AT(engine.log.bytes_written)),
	COUNTER("perdure_log_payload_bytes", "Bytes of records in them.", BYTES,
		AT(engine.log.payload_bytes)),
	COUNTER("perdure_log_writes", "Writes by the way they took.", .labels = "way",
		.write = write_log_writes),
	COUNTER("perdure_log_syncs", "Syncs, and writes that are synced themselves.", AT(engine.log.syncs)),
	COUNTER("perdure_log_segments", "Segments begun.", AT(engine.log.segments_begun)),
	GAUGE("perdure_log_size_bytes", "What the log takes of the disk.", BYTES, AT(engine.log_bytes)),
	GAUGE("perdure_lsn", "Places in the log: where it begins, how far it reaches, what is where by now.",
	      .labels = "mark", .write = write_lsn),
	GAUGE("perdure_epoch", "The epoch of the log; every start begins a new one.", AT(engine.epoch)),
	COUNTER("perdure_clock_jumps", "Jumps of the wall clock that were followed slowly.",
		AT(engine.clock_jumps)),
};

static const struct pd_metric recovery_metrics[] = {
	GAUGE("perdure_recovery_seconds", "How long the replay at the start took, or takes by now.", SECONDS,
	      AT(engine.recovery.elapsed_us), US_TO_S),
	GAUGE("perdure_recovery_records", "Records replayed by it.", AT(engine.recovery.records)),
	GAUGE("perdure_recovery_replayed_bytes", "Bytes of log replayed by it.", BYTES,
	      AT(engine.recovery.bytes)),
	GAUGE("perdure_recovery_expected_bytes", "Bytes of log that it has to look at, as far as is known.",
	      BYTES, AT(engine.recovery.total_bytes)),
	GAUGE("perdure_recovery_torn_bytes", "An unfinished write that it cut off the log.", BYTES,
	      AT(engine.recovery.torn_bytes)),
	GAUGE("perdure_recovery_damaged_places", "Places of the log that it could not read.",
	      AT(engine.recovery.damage_count)),
	GAUGE("perdure_recovery_state_rebuilt",
	      "1 when the state on disk was no good, and another was taken or made.", .write = write_rebuilt),
	GAUGE("perdure_quarantined_actors",
	      "Actors of which damage has taken records; nobody is served them.",
	      AT(engine.recovery.quarantined_actors)),
};

static const struct pd_metric state_metrics[] = {
	GAUGE("perdure_keys", "Keys.", AT(engine.keys)),
	GAUGE("perdure_expiring_keys", "Keys with a time to live.", AT(engine.expiring_keys)),
	GAUGE("perdure_data_bytes", "Bytes of keys and values.", BYTES, AT(engine.store.bytes)),
	GAUGE("perdure_data_uncounted_actors",
	      "Actors whose bytes are being counted anew, so that perdure_data_bytes is not exact.",
	      AT(engine.store.uncounted)),
	COUNTER("perdure_expired_keys", "Keys removed since their time was over.", AT(engine.expired_keys)),
	GAUGE("perdure_actors", "Actors.", AT(engine.actors)),
	GAUGE("perdure_tenants", "Tenants.", AT(engine.tenants)),
	GAUGE("perdure_memtable_bytes", "Memory of what is not on disk yet, beside the log.", BYTES,
	      .labels = "state", .write = write_memtables),
	GAUGE("perdure_memtable_limit_bytes", "What memtables may take.", BYTES,
	      AT(engine.memtable_limit_bytes)),
	GAUGE("perdure_frozen_memtables", "Memtables that wait to be written to the levels.",
	      .write = write_frozen),
	COUNTER("perdure_flushes", "Memtables written to the levels.", AT(engine.store.flushes)),
	COUNTER("perdure_flushed_bytes", "Memory of the memtables that were.", BYTES,
		AT(engine.store.flushed_bytes)),
	COUNTER("perdure_flush_failures", "Flushes that failed and were tried again.",
		AT(engine.store.flush_failures)),
	GAUGE("perdure_levels_files", "Sorted files.", AT(engine.store.levels.files)),
	GAUGE("perdure_levels_size_bytes", "What they take of the disk.", BYTES,
	      AT(engine.store.levels.bytes)),
	GAUGE("perdure_levels_level0_files", "Files that every read has to look into.",
	      AT(engine.store.levels.level0_files)),
	GAUGE("perdure_levels_pending_compaction_bytes", "What compaction still has to rewrite, about.",
	      BYTES, AT(engine.store.levels.pending_compaction_bytes)),
	GAUGE("perdure_levels_running_compactions", "Compactions at work.",
	      AT(engine.store.levels.running_compactions)),
	GAUGE("perdure_levels_cache_bytes", "Blocks, indexes and filters in memory.", BYTES,
	      AT(engine.store.levels.cache_bytes)),
	GAUGE("perdure_levels_verified_bytes",
	      "Of the levels, what has been read back from the disk with every checksum in it, ahead of a "
	      "checkpoint or by one.",
	      BYTES, AT(engine.levels_verified_bytes)),
	GAUGE("perdure_levels_verified_timestamp_seconds",
	      "When some of it was read back last, since 1970; 0: never.", SECONDS,
	      AT(engine.levels_verified_us), US_TO_S),
	COUNTER("perdure_checkpoints_made", "Checkpoints made.", AT(engine.checkpoints)),
	GAUGE("perdure_checkpoints", "Checkpoints that are kept.", AT(engine.checkpoints_kept)),
	GAUGE("perdure_checkpoints_size_bytes",
	      "What they take of the disk beyond the levels, at most: files that none before them had.",
	      BYTES, AT(engine.checkpoint_bytes)),
	GAUGE("perdure_snapshots", "Snapshots of actors.", AT(engine.snapshots)),
	GAUGE("perdure_snapshots_size_bytes",
	      "What was copied aside for snapshots of actors: keys and values.", BYTES,
	      AT(engine.snapshot_bytes)),
	GAUGE("perdure_checkpoint_timestamp_seconds",
	      "The moment that the newest checkpoint is of, since 1970; 0: there is none.", SECONDS,
	      AT(engine.checkpoint_us), US_TO_S),
	GAUGE("perdure_retention_timestamp_seconds",
	      "The oldest moment that one could go back to: of the first record while all of the log is "
	      "there, "
	      "else of the oldest checkpoint; since 1970, 0: there is nothing.",
	      SECONDS, AT(engine.oldest_us), US_TO_S),
	COUNTER("perdure_state_failures",
		"Flushes, checkpoints, trims and removals that failed and are tried again.",
		AT(engine.state_failures)),
};

static const struct pd_metric backup_metrics[] = {
	GAUGE("perdure_backup_configured",
	      "1: the server makes backups by schedules; 0: it makes none, and the others here are 0.",
	      AT(backups_configured)),
	GAUGE("perdure_backup_repository_known",
	      "1 when the repository has been read: until then it is not known what is in it.",
	      AT(backups_known)),
	GAUGE("perdure_backup_failing",
	      "1 while a backup, a drill, or what should expire, fails and is tried again.",
	      AT(backups_failing)),
	GAUGE("perdure_backup_timestamp_seconds",
	      "When the newest backup of the kind was finished, or found that nothing was new, since 1970; "
	      "0: "
	      "there is none.",
	      SECONDS, .labels = "kind", .write = write_backup_times),
	GAUGE("perdure_backup_age_seconds", "How long ago that was; infinite where there is none.", SECONDS,
	      .labels = "kind", .write = write_backup_ages),
	GAUGE("perdure_backup_lsn", "The LSN that the newest backup of the kind ends with.", .labels = "kind",
	      .write = write_backup_lsns),
	GAUGE("perdure_backup_duration_seconds", "How long it took.", SECONDS, .labels = "kind",
	      .write = write_backup_durations),
	GAUGE("perdure_backup_sent_bytes", "What the repository got for it: the rest was there.", BYTES,
	      .labels = "kind", .write = write_backup_sent),
	GAUGE("perdure_backup_stored_bytes", "What all of it takes there, shared with others.", BYTES,
	      .labels = "kind", .write = write_backup_stored),
	COUNTER("perdure_backups",
		"Backups into the repository since the start: made, failed, or skipped since the one before "
		"was "
		"still at work.",
		.labels = "kind, result", .write = write_backup_results),
	GAUGE("perdure_backups_kept", "Backups in the repository, as of the last look.", AT(backups.backups)),
	COUNTER("perdure_backups_expired", "Backups that have expired since the start.", AT(backups.expired)),
	COUNTER("perdure_backup_expire_failures", "How often that failed.", AT(backups.expire_failed)),
	GAUGE("perdure_backup_proven_lsn",
	      "Recovery was proven up to this LSN, by a drill of the repository's newest backup then; 0: "
	      "never.",
	      AT(backups.proof.position.lsn)),
	GAUGE("perdure_backup_proven_timestamp_seconds", "When that was, since 1970; 0: never.", SECONDS,
	      AT(backups.proof.proven_us), US_TO_S),
	GAUGE("perdure_backup_proven_age_seconds", "How long ago that was; infinite where there is no proof.",
	      SECONDS, .write = write_proven_age),
	GAUGE("perdure_backup_waiting_seconds",
	      "How long the oldest write to actors of each durability profile has been in no backup and no "
	      "archive; 0: "
	      "there is none. Critical: those at strict or more.",
	      SECONDS, .labels = "profile", .write = write_uncopied),
	COUNTER("perdure_backup_drills",
		"Drills by the server since the start: passed, failed, or skipped since the one before was "
		"still "
		"at work.",
		.labels = "result", .write = write_drills),
	GAUGE("perdure_backup_drill_failing", "1 while the last drill failed: recovery is not proven.",
	      AT(drill_failing)),
	GAUGE("perdure_backup_drill_timestamp_seconds",
	      "When the last drill ended, whatever became of it, since 1970; 0: none has since the start.",
	      SECONDS, AT(backups.drill.ended_us), US_TO_S),
	GAUGE("perdure_backup_drill_duration_seconds", "How long that one took.", SECONDS,
	      AT(backups.drill.took_us), US_TO_S),
	GAUGE("perdure_backup_drill_rto_seconds",
	      "How long recovering took in the last one that passed since the start.", SECONDS,
	      AT(backups.drill.newest.rto_us), US_TO_S),
	GAUGE("perdure_backup_drill_rpo_seconds", "How old what it recovered was.", SECONDS,
	      AT(backups.drill.newest.rpo_us), US_TO_S),
};

static const struct pd_metric archive_metrics[] = {
	GAUGE("perdure_archive_configured",
	      "1: the log is followed into an archive; 0: there is none, and the others here are 0.",
	      AT(archive_configured)),
	GAUGE("perdure_archive_lsn",
	      "All records up to this LSN are in the archive, from its newest base on, and were read back.",
	      AT(archive_lsn)),
	GAUGE("perdure_archive_timestamp_seconds",
	      "When that record was written, since 1970; 0: none is archived yet.", SECONDS, AT(archive_us),
	      US_TO_S),
	GAUGE("perdure_archive_lag_seconds",
	      "How much later the newest durable record was written than the newest archived one.", SECONDS,
	      AT(archive_lag_us), US_TO_S),
	GAUGE("perdure_archive_lag_bytes", "Log that is not archived.", BYTES, AT(archive_lag_bytes)),
	GAUGE("perdure_archive_waiting_bytes",
	      "Log that stays on the disk until the archive has it, from the first segment on that is not "
	      "whole in it.",
	      BYTES, AT(archive_waiting_bytes)),
	GAUGE("perdure_archive_failing",
	      "1: the last round failed, or is refused, and is tried again; else 0.", AT(archive_failing)),
	COUNTER("perdure_archive_failures", "Rounds that failed.", AT(archive_failures)),
	COUNTER("perdure_archive_gaps", "Gaps that the archive has since the start: an alarm.",
		AT(archive_gaps)),
	COUNTER("perdure_archive_objects", "Objects archived and read back.", AT(archive_objects)),
	COUNTER("perdure_archived_bytes", "Bytes of the log in them.", BYTES, AT(archive_bytes)),
};

static const struct pd_metric memory_metrics[] = {
	GAUGE("perdure_memory_bytes", "Memory by part.", BYTES, .labels = "part", .write = write_memory),
	GAUGE("perdure_memory_limit_bytes", "What a part may take, where it has a limit of its own.", BYTES,
	      .labels = "part", .write = write_memory_limits),
	GAUGE("perdure_memory_budget_bytes", "What the whole process may take.", BYTES, AT(memory.budget)),
	GAUGE("perdure_clients_memory_bytes", "What clients hold: requests, replies, queued commands.", BYTES,
	      AT(resp.memory_bytes)),
	GAUGE("perdure_clients_memory_limit_bytes", "What they may hold together; 0: no limit.", BYTES,
	      AT(resp.memory_max)),
	COUNTER("perdure_memory_refusals",
		"What was refused for want of memory, or closed to make room for others.", .labels = "what",
		.write = write_memory_refusals),
	GAUGE("perdure_disk_free_bytes", "Room on the file system of the data directory.", BYTES,
	      AT(disk_free_bytes)),
};

static const struct pd_metric connection_metrics[] = {
	GAUGE("perdure_connections", "Connections by the door they came through.", .labels = "door",
	      .write = write_connections),
	GAUGE("perdure_connections_limit", "How many there may be of the Redis protocol.",
	      AT(connections_max)),
	COUNTER("perdure_connections_accepted", "Connections accepted.", AT(net.accepted)),
	COUNTER("perdure_connections_refused", "Connections that there was no place for.", AT(net.refused)),
	GAUGE("perdure_clients_waiting", "Clients that wait, and for what.", .labels = "reason",
	      .write = write_waiting),
	COUNTER("perdure_logins",
		"Logins: accepted, refused for a wrong name or password, rejected since too many waited.",
		.labels = "result", .write = write_logins),
	COUNTER("perdure_logins_delayed", "Logins that had to wait for earlier failures of their address.",
		AT(resp.logins.delayed)),
	GAUGE("perdure_logins_waiting", "Logins whose password is to be checked yet.",
	      AT(resp.logins.waiting)),
	COUNTER("perdure_network_received_bytes", "Bytes received, all doors.", BYTES,
		AT(net.bytes_received)),
	COUNTER("perdure_network_sent_bytes", "Bytes sent, all doors.", BYTES, AT(net.bytes_sent)),
	COUNTER("perdure_http_requests", "Requests that the HTTP door answered.", .labels = "result",
		.write = write_http),
	COUNTER("perdure_http_timeouts", "HTTP connections closed since their client was too slow.",
		AT(http.timeouts)),
	COUNTER("perdure_http_displaced",
		"HTTP connections closed for being slow while others wanted their place.",
		AT(http.displaced)),
};

static const struct pd_metric process_metrics[] = {
	COUNTER("process_cpu_seconds", "User and system time of the process.", SECONDS, .write = write_cpu),
	GAUGE("process_resident_memory_bytes", "Resident memory.", BYTES, AT(process.resident_bytes)),
	GAUGE("process_virtual_memory_bytes", "Virtual memory.", BYTES, AT(process.virtual_bytes)),
	GAUGE("process_open_fds", "Open file descriptors.", AT(process.open_descriptors)),
	GAUGE("process_max_fds", "How many there may be.", AT(process.max_descriptors)),
	GAUGE("process_threads", "Threads.", AT(process.threads)),
	GAUGE("process_start_time_seconds", "When the process began, since 1970.", SECONDS, AT(start_us),
	      US_TO_S),
	COUNTER("process_disk_read_bytes", "Bytes that the process made the disk read.", BYTES,
		AT(process.read_bytes)),
	COUNTER("process_disk_written_bytes", "Bytes that it made the disk write.", BYTES,
		AT(process.written_bytes)),
	COUNTER("process_major_page_faults", "Page faults that needed the disk.", AT(process.major_faults)),
};

#define GROUP(title_, table_)                                                 \
	{                                                                     \
		.title = title_, .metrics = table_, .count = COUNT_OF(table_) \
	}
const struct pd_metric_group pd_metric_groups[] = {
	GROUP("Server", server_metrics),
	GROUP("Commands", command_metrics),
	GROUP("Log", log_metrics),
	GROUP("Recovery", recovery_metrics),
	GROUP("State", state_metrics),
	GROUP("Archive", archive_metrics),
	GROUP("Backups", backup_metrics),
	GROUP("Memory and disk", memory_metrics),
	GROUP("Connections", connection_metrics),
	GROUP("Process", process_metrics),
};
const size_t pd_metric_group_count = COUNT_OF(pd_metric_groups);

/* INFO: true figures, under Redis's names where they mean the same, the rest under "# Perdure". */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "archive/archive.h"
#include "backup/scheduler.h"
#include "engine/upkeep.h"
#include "config/config.h"
#include "front/resp/front_private.h"
#include "net/tls.h"
#include "security/login.h"
#include "security/user.h"
#include "os/os.h"

/* Everything a section may need, collected once. */
struct facts {
	const struct pd_resp_front *front;
	struct pd_engine_stats engine; /* zeros during recovery */
	struct pd_net_stats net;
	uint64_t uptime_s;
	struct pd_memory_report memory;
};

struct section {
	const char *name;  /* as it is asked for */
	const char *title; /* as it is shown */
	bool by_default;
	int (*write)(const struct facts *facts, struct pd_buffer *text);
};

#define U(number) ((unsigned long long)(number))

static void collect(const struct pd_resp_front *front, struct facts *facts)
{
	*facts = (struct facts){ .front = front };
	if (!front->loading)
		pd_engine_stats(front->engine, &facts->engine);
	pd_net_stats(front->net, &facts->net);
	facts->uptime_s = (pd_os_monotonic_ns(front->os) - front->started_ns) / 1000000000u;
	pd_resp_read_memory(front, &facts->memory);
}

static int write_server(const struct facts *facts, struct pd_buffer *text)
{
	struct utsname system;

	if (uname(&system) != 0)
		memset(&system, 0, sizeof system);
	return pd_buffer_printf(text,
				"redis_version:" PD_RESP_VERSION "\r\n"
				"redis_mode:standalone\r\n"
				"perdure_version:" PD_VERSION "\r\n"
				"os:%s %s %s\r\n"
				"arch_bits:%zu\r\n"
				"multiplexing_api:epoll\r\n"
				"gcc_version:%d.%d.%d\r\n"
				"process_id:%ld\r\n"
				"tcp_port:%d\r\n"
				"server_time_usec:%llu\r\n"
				"uptime_in_seconds:%llu\r\n"
				"uptime_in_days:%llu\r\n",
				system.sysname, system.release, system.machine, 8 * sizeof(void *), __GNUC__,
				__GNUC_MINOR__, __GNUC_PATCHLEVEL__, (long)getpid(),
				facts->front->options.port, U(pd_os_real_us(facts->front->os)),
				U(facts->uptime_s), U(facts->uptime_s / 86400));
}

static int write_clients(const struct facts *facts, struct pd_buffer *text)
{
	size_t input = 0, output = 0, subscribers = 0;

	for (size_t i = 0; i < facts->front->client_count; i++) {
		const struct pd_connection *connection = facts->front->clients[i]->connection;

		input = connection->input.capacity > input ? connection->input.capacity : input;
		output = connection->output.capacity > output ? connection->output.capacity : output;
		subscribers += pd_resp_subscriber_has_any(&facts->front->clients[i]->subscriber);
	}
	return pd_buffer_printf(text,
				"connected_clients:%zu\r\n"
				"maxclients:%u\r\n"
				"client_recent_max_input_buffer:%zu\r\n"
				"client_recent_max_output_buffer:%zu\r\n"
				"blocked_clients:0\r\n"
				"pubsub_clients:%zu\r\n",
				facts->front->client_count, pd_net_max_connections(facts->front->net), input,
				output, subscribers);
}

static int write_memory(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_memory_report *memory = &facts->memory;
	int result = pd_buffer_printf(text,
				      "used_memory:%llu\r\n"
				      "used_memory_human:%.2fM\r\n"
				      "used_memory_rss:%llu\r\n"
				      "used_memory_rss_human:%.2fM\r\n"
				      "used_memory_dataset:%llu\r\n"
				      "total_system_memory:%llu\r\n"
				      "maxmemory:%llu\r\n"
				      "maxmemory_human:%.2fM\r\n"
				      "maxmemory_policy:noeviction\r\n"
				      "mem_clients_normal:%llu\r\n"
				      "mem_allocator:libc\r\n",
				      U(memory->used), (double)memory->used / (1024 * 1024),
				      U(memory->resident), (double)memory->resident / (1024 * 1024),
				      U(facts->engine.memory_bytes),
				      U(pd_os_machine_memory(facts->front->os)), U(memory->budget),
				      (double)memory->budget / (1024 * 1024), U(facts->front->memory.used));

	for (size_t i = 0; i < memory->count && result == 0; i++)
		result = pd_buffer_printf(text, "perdure_memory_%s:%llu\r\n", memory->parts[i].name,
					  U(memory->parts[i].bytes));
	if (result != 0)
		return result;
	return pd_buffer_printf(text,
				"perdure_clients_waiting_for_memory:%zu\r\n"
				"perdure_clients_refused_for_memory:%llu\r\n"
				"perdure_clients_closed_for_memory:%llu\r\n"
				"perdure_requests_refused_for_memory:%llu\r\n",
				facts->front->memory.waiting, U(facts->front->memory.refused_clients),
				U(facts->front->memory.closed_clients),
				U(facts->front->memory.refused_requests));
}

static int write_persistence(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_resp_front *front = facts->front;
	bool fenced = !front->loading && pd_engine_fence_text(front->engine)[0] != '\0';

	return pd_buffer_printf(text,
				"loading:%d\r\n"
				"async_loading:0\r\n"
				"aof_enabled:%d\r\n"
				"aof_last_write_status:%s\r\n"
				"rdb_bgsave_in_progress:0\r\n"
				"aof_rewrite_in_progress:0\r\n"
				"perdure_applied_lsn:%llu\r\n"
				"perdure_checkpoint_lsn:%llu\r\n"
				"perdure_log_first_lsn:%llu\r\n",
				front->loading, !front->options.in_memory, fenced ? "err" : "ok",
				U(facts->engine.store.applied.lsn), U(facts->engine.checkpoint_lsn),
				U(facts->engine.log_first_lsn));
}

static int write_stats(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_resp_front *front = facts->front;
	return pd_buffer_printf(
		text,
		"total_connections_received:%llu\r\n"
		"total_commands_processed:%llu\r\n"
		"total_net_input_bytes:%llu\r\n"
		"total_net_output_bytes:%llu\r\n"
		"rejected_connections:%llu\r\n"
		"expired_keys:%llu\r\n"
		"evicted_keys:0\r\n"
		"pubsub_channels:%zu\r\n"
		"pubsub_patterns:%zu\r\n"
		"pubsub_subscriptions:%zu\r\n"
		"client_output_buffer_limit_disconnections:%llu\r\n"
		"total_error_replies:%llu\r\n",
		U(facts->net.accepted - front->net_accepted_base), U(front->commands),
		U(facts->net.bytes_received - front->net_received_base),
		U(facts->net.bytes_sent - front->net_sent_base),
		U(facts->net.refused - front->net_refused_base), U(facts->engine.expired_keys),
		front->pubsub.topic_count - front->pubsub.pattern_count, front->pubsub.pattern_count,
		front->pubsub.subscriptions, U(front->pushes.disconnected), U(front->error_replies));
}

static int write_replication(const struct facts *facts, struct pd_buffer *text)
{
	(void)facts;
	return pd_buffer_printf(text, "role:master\r\nconnected_slaves:0\r\n");
}

static int write_cpu(const struct facts *facts, struct pd_buffer *text)
{
	struct rusage usage = { 0 };

	(void)facts;
	(void)getrusage(RUSAGE_SELF, &usage);
	return pd_buffer_printf(text, "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n",
				(long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec,
				(long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec);
}

static int write_modules(const struct facts *facts, struct pd_buffer *text)
{
	(void)facts;
	(void)text;
	return 0;
}

static int write_commandstats(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_resp_registry *registry = &facts->front->registry;
	int result = 0;

	for (size_t i = 0; i < registry->count && result == 0; i++) {
		const struct pd_resp_entry *entry = registry->entries + i;

		if (entry->times.count == 0 && entry->rejected == 0)
			continue;
		result = pd_buffer_printf(
			text,
			"cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
			"failed_calls=%llu\r\n",
			entry->name.text, U(entry->times.count), U(entry->times.sum / 1000),
			entry->times.count == 0
				? 0.0
				: (double)entry->times.sum / 1000 / (double)entry->times.count,
			U(entry->rejected), U(entry->failed));
	}
	return result;
}

static int write_errorstats(const struct facts *facts, struct pd_buffer *text)
{
	int result = 0;

	for (size_t i = 0; i < facts->front->error_count && result == 0; i++)
		result = pd_buffer_printf(text, "errorstat_%s:count=%llu\r\n", facts->front->errors[i].prefix,
					  U(facts->front->errors[i].count));
	return result;
}

/* Microseconds that so many of a thousand calls took at most: a power of two. */
static uint64_t percentile(const struct pd_histogram *times, uint64_t of_thousand)
{
	uint64_t wanted = (times->count * of_thousand + 999) / 1000, seen = 0;

	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS; i++) {
		seen += times->buckets[i];
		if (seen >= wanted)
			return UINT64_C(1) << i;
	}
	return 0;
}

static int write_latencystats(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_resp_registry *registry = &facts->front->registry;
	int result = 0;

	for (size_t i = 0; i < registry->count && result == 0; i++) {
		const struct pd_resp_entry *entry = registry->entries + i;

		if (entry->times.count > 0)
			result = pd_buffer_printf(
				text, "latency_percentiles_usec_%s:p50=%llu,p99=%llu,p99.9=%llu\r\n",
				entry->name.text, U(percentile(&entry->times, 500)),
				U(percentile(&entry->times, 990)), U(percentile(&entry->times, 999)));
	}
	return result;
}

static int write_cluster(const struct facts *facts, struct pd_buffer *text)
{
	(void)facts;
	return pd_buffer_printf(text, "cluster_enabled:0\r\n");
}

static int write_keyspace(const struct facts *facts, struct pd_buffer *text)
{
	if (facts->engine.keys == 0)
		return 0;
	return pd_buffer_printf(text, "db0:keys=%llu,expires=%llu\r\n", U(facts->engine.keys),
				U(facts->engine.expiring_keys));
}

static int write_recovery(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_recovery *recovery = facts->front->loading ? &facts->front->progress
								   : &facts->engine.recovery;

	return pd_buffer_printf(text,
				"recovery_done:%d\r\n"
				"recovery_records:%llu\r\n"
				"recovery_bytes:%llu\r\n"
				"recovery_total_bytes:%llu\r\n"
				"recovery_torn_bytes:%llu\r\n"
				"recovery_damaged_places:%llu\r\n"
				"recovery_quarantined_actors:%llu\r\n"
				"recovery_ms:%llu\r\n"
				"recovery_state_lsn:%llu\r\n"
				"recovery_checkpoint_lsn:%llu\r\n"
				"recovery_rebuilt:%d\r\n"
				"recovery_rebuilt_why:%s\r\n",
				!facts->front->loading, U(recovery->records), U(recovery->bytes),
				U(recovery->total_bytes), U(recovery->torn_bytes), U(recovery->damage_count),
				U(recovery->quarantined_actors), U(recovery->elapsed_us / 1000),
				U(recovery->applied_lsn), U(recovery->checkpoint_lsn), recovery->rebuilt,
				recovery->rebuilt_why);
}

/* How the state moves on from memory to the disk. */
static int write_state(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_engine_stats *stats = &facts->engine;

	return pd_buffer_printf(text,
				"log_first_lsn:%llu\r\n"
				"applied_lsn:%llu\r\n"
				"flushes:%llu\r\n"
				"flushed_bytes:%llu\r\n"
				"checkpoints_made:%llu\r\n"
				"checkpoint_lsn:%llu\r\n"
				"levels_bytes:%llu\r\n"
				"levels_verified_bytes:%llu\r\n"
				"levels_verified_us:%llu\r\n"
				"state_failures:%llu\r\n"
				"state_failure:%s\r\n"
				"state_damage:%s\r\n"
				"braked_writes:%llu\r\n"
				"snapshots:%llu\r\n"
				"snapshot_bytes:%llu\r\n"
				"large_values_unfinished:%llu\r\n"
				"large_values_read:%llu\r\n",
				U(stats->log_first_lsn), U(stats->store.applied.lsn), U(stats->store.flushes),
				U(stats->store.flushed_bytes), U(stats->checkpoints),
				U(stats->checkpoint_lsn), U(stats->store.levels.bytes),
				U(stats->levels_verified_bytes), U(stats->levels_verified_us),
				U(stats->state_failures), pd_engine_state_failure(stats), stats->state_damage,
				U(stats->braked), U(stats->snapshots), U(stats->snapshot_bytes),
				U(stats->large_unfinished), U(stats->large_readers));
}

static int write_logins(const struct pd_resp_front *front, struct pd_buffer *text)
{
	struct pd_login_stats stats = { 0 };
	struct pd_tls_stats tls;

	pd_net_tls_stats(front->net, &tls);
	if (front->options.logins != NULL)
		pd_logins_stats(front->options.logins, &stats);
	return pd_buffer_printf(text,
				"users:%zu\r\n"
				"logins_accepted:%llu\r\n"
				"logins_refused:%llu\r\n"
				"logins_delayed:%llu\r\n"
				"logins_rejected:%llu\r\n"
				"logins_waiting:%zu\r\n"
				"tls_handshakes:%llu\r\n"
				"tls_failures:%llu\r\n"
				"tls_refused:%llu\r\n",
				front->options.users != NULL ? front->options.users->count : 0,
				U(stats.accepted), U(stats.refused), U(stats.delayed), U(stats.rejected),
				stats.waiting + stats.running, tls.handshakes, tls.failures, tls.refused);
}

static int write_perdure(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_engine_stats *stats = &facts->engine;
	const struct pd_resp_front *front = facts->front;
	int result;

	result = pd_buffer_printf(
		text,
		"default_durability:%s\r\n"
		"epoch:%llu\r\n"
		"tail_lsn:%llu\r\n"
		"written_lsn:%llu\r\n"
		"durable_lsn:%llu\r\n"
		"tenants:%llu\r\n"
		"actors:%llu\r\n"
		"keys:%llu\r\n"
		"data_bytes:%llu\r\n"
		"data_uncounted_actors:%llu\r\n"
		"transactions:%llu\r\n"
		"conflicts:%llu\r\n"
		"duplicates:%llu\r\n"
		"refused_no_space:%llu\r\n"
		"disk_full:%d\r\n"
		"fenced:%s\r\n"
		"clock_jumps:%llu\r\n",
		pd_config_text(front->options.config, PD_SETTING_DURABILITY), U(stats->epoch),
		U(stats->marks.tail_lsn), U(stats->marks.written_lsn), U(stats->marks.durable_lsn),
		U(stats->tenants), U(stats->actors), U(stats->keys), U(stats->store.bytes),
		U(stats->store.uncounted), U(stats->transactions), U(stats->conflicts), U(stats->duplicates),
		U(stats->refused_no_space), !front->loading && pd_engine_disk_full(front->engine),
		front->loading ? "" : pd_engine_fence_text(front->engine), U(stats->clock_jumps));
	if (result != 0)
		return result;
	result = pd_buffer_printf(text,
				  "log_groups:%llu\r\n"
				  "log_records:%llu\r\n"
				  "log_bytes_written:%llu\r\n"
				  "log_payload_bytes:%llu\r\n"
				  "log_syncs:%llu\r\n"
				  "log_direct_writes:%llu\r\n"
				  "log_buffered_writes:%llu\r\n"
				  "log_segments_begun:%llu\r\n"
				  "log_group_records_last:%llu\r\n",
				  U(stats->log.groups), U(stats->log.records), U(stats->log.bytes_written),
				  U(stats->log.payload_bytes), U(stats->log.syncs),
				  U(stats->log.direct_writes), U(stats->log.buffered_writes),
				  U(stats->log.segments_begun), U(stats->group_records_last));
	if (result == 0)
		result = write_logins(front, text);
	if (result == 0)
		result = write_state(facts, text);
	return result != 0 ? result : write_recovery(facts, text);
}

static int write_archive(const struct facts *facts, struct pd_buffer *text)
{
	struct pd_archive_status status;

	if (facts->front->archive == NULL)
		return pd_buffer_printf(text, "archive_state:off\r\n");
	pd_archive_status(facts->front->archive, &status);
	return pd_buffer_printf(text,
				"archive_state:%s\r\n"
				"archive_address:%s\r\n"
				"archive_base_lsn:%llu\r\n"
				"archive_lsn:%llu\r\n"
				"archive_time_us:%llu\r\n"
				"archive_lag_us:%llu\r\n"
				"archive_lag_bytes:%llu\r\n"
				"archive_waiting_bytes:%llu\r\n"
				"archive_let_go:%d\r\n"
				"archive_objects:%llu\r\n"
				"archive_bytes:%llu\r\n"
				"archive_failures:%llu\r\n"
				"archive_failure:%s\r\n"
				"archive_gaps:%llu\r\n"
				"archive_gap:%s\r\n",
				pd_archive_state_name(status.state), status.address, U(status.base_lsn),
				U(status.archived_lsn), U(status.archived_us), U(status.lag_us),
				U(status.lag_bytes), U(status.waiting_bytes), status.let_go,
				U(status.objects), U(status.bytes), U(status.failures), status.failure,
				U(status.gaps), status.gap);
}

static int write_backup_kind(const struct pd_backup_schedule_status *status, enum pd_backup_kind kind,
			     struct pd_buffer *text)
{
	const struct pd_backup_kind_status *of = &status->kinds[kind];

	return pd_buffer_printf(text,
				"backup_%s:id=%s,lsn=%llu,time_us=%llu,sent_bytes=%llu,made=%llu,failed=%llu,"
				"skipped=%llu\r\n",
				pd_backup_kind_name(kind), of->newest.id, U(of->newest.end.lsn),
				U(of->well_us), U(of->newest.sent_bytes), U(of->made), U(of->failed),
				U(of->skipped));
}

static int write_drill(const struct pd_backup_drill_status *drill, struct pd_buffer *text)
{
	const struct pd_backup_drilled *newest = &drill->newest;

	return pd_buffer_printf(text,
				"backup_drill:id=%s,lsn=%llu,time_us=%llu,rto_us=%llu,rpo_us=%llu,bytes=%llu,"
				"compared=%d,ended_us=%llu,took_us=%llu,passed=%llu,failed=%llu,skipped=%llu,"
				"failing=%d\r\n",
				newest->id, U(newest->restored.position.lsn), U(newest->proven_us),
				U(newest->rto_us), U(newest->rpo_us), U(newest->restored.bytes),
				newest->restored.compared, U(drill->ended_us), U(drill->took_us),
				U(drill->passed), U(drill->failed), U(drill->skipped), drill->failing);
}

static int write_backup(const struct facts *facts, struct pd_buffer *text)
{
	struct pd_backup_schedule_status status;
	int result;

	if (facts->front->scheduler == NULL)
		return pd_buffer_printf(text, "backup_state:off\r\n");
	pd_backup_scheduler_status(facts->front->scheduler, &status);
	result = pd_buffer_printf(text,
				  "backup_state:%s\r\n"
				  "backup_repository:%s\r\n"
				  "backup_work:%s\r\n"
				  "backup_next:%s\r\n"
				  "backup_next_time_us:%llu\r\n"
				  "backup_failure:%s\r\n"
				  "backup_count:%llu\r\n"
				  "backup_expired:%llu\r\n"
				  "backup_proven_lsn:%llu\r\n"
				  "backup_proven_time_us:%llu\r\n",
				  pd_backup_schedule_state(&status), status.address,
				  pd_backup_schedule_work(&status), pd_agenda_work_name(status.next),
				  U(status.next_us), status.failure, U(status.backups), U(status.expired),
				  U(status.proof.position.lsn), U(status.proof.proven_us));
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && result == 0; i++)
		result = write_backup_kind(&status, (enum pd_backup_kind)i, text);
	if (result == 0)
		result = write_drill(&status.drill, text);
	return result == 0 ? pd_buffer_printf(text,
					      "backup_waiting:critical_us=%llu,standard_us=%llu,"
					      "performance_us=%llu\r\n",
					      U(status.waiting_us[PD_PROFILE_CRITICAL]),
					      U(status.waiting_us[PD_PROFILE_STANDARD]),
					      U(status.waiting_us[PD_PROFILE_PERFORMANCE]))
			   : result;
}

/* "name:count=2,sum=310,7=1,8=1": of values up to 2^7, of those above up to 2^8, …; times in microseconds, their sum in
 * nanoseconds (base/histogram.h). */
static int write_histogram(struct pd_buffer *text, const char *name, const struct pd_histogram *histogram)
{
	int result = pd_buffer_printf(text, "%s:count=%llu,sum=%llu", name, U(histogram->count),
				      U(histogram->sum));

	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS && result == 0; i++)
		if (histogram->buckets[i] > 0)
			result = pd_buffer_printf(text, ",%u=%llu", i, U(histogram->buckets[i]));
	return result == 0 ? pd_buffer_append(text, "\r\n", 2) : result;
}

static int write_histograms(const struct facts *facts, struct pd_buffer *text)
{
	const struct pd_resp_counters *counters = &facts->front->counters;
	int result = write_histogram(text, "log_group_write", &facts->engine.log.write_time);
	char name[32];

	if (result == 0)
		result = write_histogram(text, "log_sync", &facts->engine.log.sync_time);
	if (result == 0)
		result = write_histogram(text, "log_group_records", &facts->engine.log.group_records);
	if (result == 0)
		result = write_histogram(text, "settling", &counters->settling_time);
	for (unsigned i = 0; i < PD_RESP_CLASS_COUNT && result == 0; i++) {
		(void)snprintf(name, sizeof name, "evaluation_%s", pd_resp_class_names[i]);
		result = write_histogram(text, name, &counters->evaluation_time[i]);
	}
	for (unsigned i = 0; i < PD_RESP_CLASS_COUNT && result == 0; i++)
		result = pd_buffer_printf(text, "failed_%s:%llu\r\n", pd_resp_class_names[i],
					  U(counters->failed[i] + counters->rejected[i]));
	return result;
}

/* Who waits, and for what. */
static int write_waiting(const struct facts *facts, struct pd_buffer *text)
{
	struct pd_resp_figures figures;

	pd_resp_front_figures(facts->front, &figures);
	return pd_buffer_printf(text,
				"holding_replies:%llu\r\n"
				"waiting_for_reader:%llu\r\n"
				"waiting_for_memory:%llu\r\n"
				"waiting_for_brake:%llu\r\n"
				"waiting_for_other:%llu\r\n",
				U(figures.holding), U(figures.stalled_unsent), U(figures.stalled_memory),
				U(figures.stalled_brake), U(figures.stalled_other));
}

static const struct section sections[] = {
	{ "server", "Server", true, write_server },
	{ "clients", "Clients", true, write_clients },
	{ "memory", "Memory", true, write_memory },
	{ "persistence", "Persistence", true, write_persistence },
	{ "stats", "Stats", true, write_stats },
	{ "replication", "Replication", true, write_replication },
	{ "cpu", "CPU", true, write_cpu },
	{ "modules", "Modules", true, write_modules },
	{ "commandstats", "Commandstats", false, write_commandstats },
	{ "errorstats", "Errorstats", true, write_errorstats },
	{ "latencystats", "Latencystats", false, write_latencystats },
	{ "cluster", "Cluster", true, write_cluster },
	{ "keyspace", "Keyspace", true, write_keyspace },
	{ "perdure", "Perdure", true, write_perdure },
	{ "archive", "Archive", true, write_archive },
	{ "backup", "Backup", true, write_backup },
	{ "histograms", "Histograms", false, write_histograms },
	{ "waiting", "Waiting", false, write_waiting },
};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

static bool is_wanted(const struct pd_resp_call *call, const struct section *section)
{
	if (call->count == 1)
		return section->by_default;
	for (size_t i = 1; i < call->count; i++) {
		struct pd_slice word = call->words[i];

		if (pd_slice_equal_nocase(word, section->name) || pd_slice_equal_nocase(word, "all") ||
		    pd_slice_equal_nocase(word, "everything") ||
		    (pd_slice_equal_nocase(word, "default") && section->by_default))
			return true;
	}
	return false;
}

void pd_resp_answer_info(struct pd_resp_call *call)
{
	struct pd_buffer text;
	struct facts facts;
	int result = 0;

	collect(call->client->front, &facts);
	pd_buffer_init(&text, 4 * 1024 * 1024);
	for (size_t i = 0; i < SECTION_COUNT && result == 0; i++) {
		if (!is_wanted(call, sections + i))
			continue;
		result = pd_buffer_printf(&text, "%s# %s\r\n", text.size > 0 ? "\r\n" : "",
					  sections[i].title);
		if (result == 0)
			result = sections[i].write(&facts, &text);
	}
	if (result == 0)
		pd_resp_write_verbatim(call->reply, "txt", pd_buffer_slice(&text));
	else
		pd_resp_write_error(call->reply, "OOM out of memory for INFO");
	pd_buffer_done(&text);
}

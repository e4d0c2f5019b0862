/* `perdure log stats`: how much of what is in the log, whose it is, and what a record costs. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log_private.h"
#include "server/server.h"

struct given {
	const char *data;
	uint64_t top;
	bool json;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "top", "N", PD_OPTION_NUMBER, AT(top), 0, 1000000,
	  "How many actors to list, those with the most bytes first (default 10)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure log stats",
	.synopsis = "perdure log stats [options]",
	.about =
		"Counts what is in the log: segments, groups (what is written in one go), records (one a\n"
		"transaction), epochs (one a start of the server), bytes, by actor and by durability level,\n"
		"and what a record costs beyond the keys and values in it.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Fields of -o json:\n"
		 "  segments, sealed_segments   files; sealed ones are full or were closed\n"
		 "  bytes                       of all files\n"
		 "  used_bytes                  of all groups, also of heads and footers of segments\n"
		 "  unused_bytes, torn_bytes    not in use yet; unfinished writes\n"
		 "  records, groups             records of transactions, and the groups that hold them\n"
		 "  group_bytes                 bytes written for those groups: headers, records, padding\n"
		 "  record_bytes                of the records alone\n"
		 "  payload_bytes               of the keys, fields and values in them, as users gave them\n"
		 "  effects                     puts, deletes and deletes of ranges of users' keys\n"
		 "  bytes_per_record            group_bytes / records\n"
		 "  overhead_bytes_per_record   (group_bytes - payload_bytes) / records\n"
		 "  records_per_group           records / groups\n"
		 "  epochs, first_lsn, last_lsn, first_time, last_time, damage_count\n"
		 "  levels                      records by durability level\n"
		 "  group_sizes                 [{\"bytes_up_to\", \"groups\"}], by powers of two\n"
		 "  group_records               [{\"records_up_to\", \"groups\"}], by powers of two\n"
		 "  actors                      [{\"tenant\", \"actor\", \"actor_id\", \"records\", "
		 "\"effects\",\n"
		 "                              \"record_bytes\", \"payload_bytes\"}], the --top ones\n"
		 "  actor_count                 of all that have records\n"
		 "\n"
		 "Examples:\n"
		 "  perdure log stats\n"
		 "  perdure log stats --top 100 -o json | jq '.actors[] | [.actor, .record_bytes]'\n"
		 "\n" PD_CLI_LOG_EXIT_STATUSES,
};

#define POWERS 48

struct actor_count {
	uint64_t id; /* first: what the table finds it by */
	uint64_t tenant;
	uint64_t records, effects, record_bytes, payload_bytes;
	uint64_t last_lsn; /* counted in `records` already */
};

struct count {
	struct pd_cli_log_source source;
	struct pd_cli_log_names names;
	struct pd_output output;
	struct pd_id_table actors;
	uint64_t groups, group_bytes, records, record_bytes, effects, payload_bytes;
	uint64_t levels[PD_LEVEL_COUNT];
	uint64_t sizes[POWERS], fills[POWERS]; /* groups by bytes and by records, at most 2^i */
	/* The group that is being counted, until it is known what is in it. */
	uint64_t group_size, frames_size;
	uint32_t group_records;
	bool group_counts;
};

/* ---- counting ---- */

static unsigned power_of(uint64_t number)
{
	unsigned power = 0;

	while (power + 1 < POWERS && (UINT64_C(1) << power) < number)
		power++;
	return power;
}

/* The groups of an epoch's own record, of heads and of footers are nobody's. */
static void end_group(struct count *count)
{
	if (!count->group_counts)
		return;
	count->groups++;
	count->group_bytes += count->group_size;
	count->sizes[power_of(count->group_size)]++;
	count->fills[power_of(count->group_records)]++;
	count->group_counts = false;
}

static void take_group(struct count *count, const struct pd_log_sight *sight)
{
	bool is_frame = sight->group_kind == PD_GROUP_FRAME_BEGIN ||
			sight->group_kind == PD_GROUP_FRAME_MIDDLE ||
			sight->group_kind == PD_GROUP_FRAME_COMMIT;

	end_group(count);
	if (sight->group_kind == PD_GROUP_FRAME_BEGIN)
		count->frames_size = 0;
	if (is_frame)
		count->frames_size += sight->size;
	/* The frames of one record count as one group, when the last is there. */
	count->group_size = is_frame ? count->frames_size : sight->size;
	count->group_records = sight->group_records;
}

static struct actor_count *actor_of(struct count *count, const struct pd_effect *effect, uint64_t lsn)
{
	struct actor_count *actor = pd_id_table_add(&count->actors, effect->actor);

	if (actor == NULL)
		return NULL;
	actor->tenant = effect->tenant;
	actor->records += actor->last_lsn != lsn;
	actor->last_lsn = lsn;
	return actor;
}

static int take_record(struct count *count, const struct pd_log_sight *sight)
{
	const struct pd_record *record = &sight->record;
	struct pd_effect_walk walk;
	struct pd_effect effect;

	pd_cli_log_names_learn(&count->names, sight);
	if (record->head.kind != PD_RECORD_TRANSACTION)
		return 0;
	count->group_counts = true;
	count->records++;
	count->record_bytes += record->bytes.size;
	count->levels[record->head.level]++;
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		uint64_t payload = pd_cli_log_effect_payload(&effect);
		struct actor_count *actor;

		if (effect.kind == PD_EFFECT_ACTOR || effect.actor == 0)
			continue;
		actor = actor_of(count, &effect, record->lsn);
		if (actor == NULL)
			return PD_NO_MEMORY;
		actor->effects++;
		actor->record_bytes += (uint64_t)(walk.rest.data - effect.bytes);
		actor->payload_bytes += payload;
		count->effects++;
		count->payload_bytes += payload;
	}
	return count->names.out_of_memory ? PD_NO_MEMORY : 0;
}

static int count_all(struct count *count)
{
	struct pd_log_sight sight;
	int result;

	while ((result = pd_cli_log_source_next(&count->source, &sight)) == 0) {
		if (sight.kind == PD_SIGHT_GROUP)
			take_group(count, &sight);
		else if (sight.kind == PD_SIGHT_RECORD && take_record(count, &sight) != 0)
			return PD_NO_MEMORY;
	}
	end_group(count);
	return result;
}

/* ---- showing ---- */

static double per(uint64_t number, uint64_t of)
{
	return of == 0 ? 0 : (double)number / (double)of;
}

static double overhead(const struct count *count)
{
	return per(count->group_bytes, count->records) - per(count->payload_bytes, count->records);
}

static int by_bytes(const void *left, const void *right)
{
	const struct actor_count *a = left, *b = right;

	if (a->record_bytes != b->record_bytes)
		return a->record_bytes < b->record_bytes ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

static void print_powers(struct pd_output *output, const char *what, const uint64_t powers[POWERS])
{
	pd_output_text(output, "groups by %s:", what);
	for (unsigned i = 0; i < POWERS; i++)
		if (powers[i] > 0)
			pd_output_text(output, "  <=%" PRIu64 ": %" PRIu64, UINT64_C(1) << i, powers[i]);
	pd_output_text(output, "\n");
}

static void print_actors(struct count *count, uint64_t top)
{
	struct pd_output *output = &count->output;

	pd_output_text(output, "actors: %zu\n", count->actors.count);
	if (count->actors.count > 0 && top > 0)
		pd_output_text(output, "  %12s %12s %14s %14s  actor\n", "records", "effects", "record bytes",
			       "payload bytes");
	for (size_t i = 0; i < count->actors.count && i < top; i++) {
		const struct actor_count *actor = pd_id_table_at(&count->actors, i);

		pd_output_text(output, "  %12" PRIu64 " %12" PRIu64 " %14" PRIu64 " %14" PRIu64 "  ",
			       actor->records, actor->effects, actor->record_bytes, actor->payload_bytes);
		pd_cli_log_names_print(&count->names, output, actor->tenant, actor->id);
		pd_output_text(output, "\n");
	}
}

static void print_text(struct count *count, uint64_t top)
{
	const struct pd_log_totals *totals = pd_log_verifier_totals(count->source.verifier);
	struct pd_output *output = &count->output;

	pd_output_text(output,
		       "segments: %" PRIu64 " (%" PRIu64 " sealed), %" PRIu64 " bytes: %" PRIu64
		       " used, %" PRIu64 " not in use, %" PRIu64 " of unfinished writes\n",
		       totals->segments, totals->sealed_segments, totals->total_bytes, totals->used_bytes,
		       totals->unused_bytes, totals->torn_bytes);
	pd_output_text(output, "epochs: %" PRIu64 "\n", totals->epochs);
	if (totals->records > 0) {
		pd_output_text(output, "LSN %" PRIu64 " (", totals->first_lsn);
		pd_output_time(output, totals->first_time_us);
		pd_output_text(output, ") to %" PRIu64 " (", totals->last_lsn);
		pd_output_time(output, totals->last_time_us);
		pd_output_text(output, ")\n");
	}
	pd_output_text(output,
		       "records: %" PRIu64 " in %" PRIu64 " groups (%.2f a group), %" PRIu64
		       " effects on users' keys\n",
		       count->records, count->groups, per(count->records, count->groups), count->effects);
	pd_output_text(output,
		       "bytes per record: %.1f written, of which keys and values %.1f, all else %.1f\n",
		       per(count->group_bytes, count->records), per(count->payload_bytes, count->records),
		       overhead(count));
	pd_output_text(output, "levels:");
	for (unsigned level = 1; level < PD_LEVEL_COUNT; level++)
		if (count->levels[level] > 0)
			pd_output_text(output, "  %s: %" PRIu64, pd_level_name((enum pd_level)level),
				       count->levels[level]);
	pd_output_text(output, "\n");
	print_powers(output, "bytes", count->sizes);
	print_powers(output, "records", count->fills);
	print_actors(count, top);
	if (totals->damage_count > 0)
		pd_output_text(output, "%" PRIu64 " damaged places: look with 'perdure log verify'\n",
			       totals->damage_count);
}

static void power_fields(struct pd_output *output, const char *name, const char *unit,
			 const uint64_t powers[POWERS])
{
	pd_output_open(output, name, '[');
	for (unsigned i = 0; i < POWERS; i++) {
		if (powers[i] == 0)
			continue;
		pd_output_open(output, NULL, '{');
		pd_output_number_field(output, unit, UINT64_C(1) << i);
		pd_output_number_field(output, "groups", powers[i]);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void actor_fields(struct count *count, uint64_t top)
{
	struct pd_output *output = &count->output;

	pd_output_number_field(output, "actor_count", count->actors.count);
	pd_output_open(output, "actors", '[');
	for (size_t i = 0; i < count->actors.count && i < top; i++) {
		const struct actor_count *actor = pd_id_table_at(&count->actors, i);

		pd_output_open(output, NULL, '{');
		pd_cli_log_names_fields(&count->names, output, actor->tenant, actor->id);
		pd_output_number_field(output, "records", actor->records);
		pd_output_number_field(output, "effects", actor->effects);
		pd_output_number_field(output, "record_bytes", actor->record_bytes);
		pd_output_number_field(output, "payload_bytes", actor->payload_bytes);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void print_json(struct count *count, uint64_t top)
{
	const struct pd_log_totals *totals = pd_log_verifier_totals(count->source.verifier);
	struct pd_output *output = &count->output;

	pd_output_open(output, NULL, '{');
	pd_output_number_field(output, "segments", totals->segments);
	pd_output_number_field(output, "sealed_segments", totals->sealed_segments);
	pd_output_number_field(output, "bytes", totals->total_bytes);
	pd_output_number_field(output, "used_bytes", totals->used_bytes);
	pd_output_number_field(output, "unused_bytes", totals->unused_bytes);
	pd_output_number_field(output, "torn_bytes", totals->torn_bytes);
	pd_output_number_field(output, "epochs", totals->epochs);
	pd_output_number_field(output, "first_lsn", totals->first_lsn);
	pd_output_number_field(output, "last_lsn", totals->last_lsn);
	if (totals->records > 0) {
		pd_output_time_field(output, "first_time", totals->first_time_us);
		pd_output_time_field(output, "last_time", totals->last_time_us);
	}
	pd_output_number_field(output, "records", count->records);
	pd_output_number_field(output, "groups", count->groups);
	pd_output_number_field(output, "group_bytes", count->group_bytes);
	pd_output_number_field(output, "record_bytes", count->record_bytes);
	pd_output_number_field(output, "payload_bytes", count->payload_bytes);
	pd_output_number_field(output, "effects", count->effects);
	pd_output_real_field(output, "bytes_per_record", per(count->group_bytes, count->records));
	pd_output_real_field(output, "overhead_bytes_per_record", overhead(count));
	pd_output_real_field(output, "records_per_group", per(count->records, count->groups));
	pd_output_open(output, "levels", '{');
	for (unsigned level = 1; level < PD_LEVEL_COUNT; level++)
		if (count->levels[level] > 0)
			pd_output_number_field(output, pd_level_name((enum pd_level)level),
					       count->levels[level]);
	pd_output_close(output, '}');
	power_fields(output, "group_sizes", "bytes_up_to", count->sizes);
	power_fields(output, "group_records", "records_up_to", count->fills);
	actor_fields(count, top);
	pd_output_number_field(output, "damage_count", totals->damage_count);
	pd_output_close(output, '}');
	pd_output_end(output);
}

/* ---- the run ---- */

static int show(struct count *count, uint64_t top)
{
	int result = count_all(count);

	if (result != PD_END) {
		if (result == PD_NO_MEMORY)
			(void)fprintf(stderr, "%s: out of memory\n", options.command);
		return pd_server_exit_status(result);
	}
	/* Sorted in place: nothing is looked up by its id any more. */
	if (count->actors.count > 0)
		qsort(count->actors.items, count->actors.count, count->actors.item_size, by_bytes);
	if (count->source.json)
		print_json(count, top);
	else
		print_text(count, top);
	return pd_cli_log_source_status(&count->source, result);
}

int pd_cli_log_stats_run(int argc, char **argv)
{
	struct given given = { .data = "./data", .top = 10 };
	struct count count = { .output = { .file = stdout } };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	pd_cli_log_names_init(&count.names);
	pd_id_table_init(&count.actors, sizeof(struct actor_count));
	status = pd_cli_log_source_open(&count.source, &options, given.data, given.json, "counting");
	if (status == 0)
		status = show(&count, given.top);
	if (!pd_output_finish(&count.output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	pd_id_table_done(&count.actors);
	pd_cli_log_names_done(&count.names);
	pd_cli_log_source_close(&count.source);
	return status;
}

/* `perdure log verify`: is every byte as it was written? */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "cli/log_private.h"
#include "server/server.h"

struct given {
	const char *data;
	bool json;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure log verify",
	.synopsis = "perdure log verify [options]",
	.about = "Reads every byte of the log and says whether it is as it was written: sectors and their\n"
		 "stamps, checksums, the chain from group to group, LSNs and times, epochs, the index in "
		 "each\n"
		 "segment's footer, padding, what is not in use, and the manifest. Whatever is damaged is "
		 "named:\n"
		 "the segment and the bytes in it, the LSNs that cannot be read, whose they are, and what to "
		 "do.\n"
		 "\n"
		 "Beside a running server, or after a crash, the log may end in a write that is not "
		 "finished.\n"
		 "That is no damage: nobody was told that it was done.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure log verify\n"
		 "  perdure log verify --data /backup/perdure && echo sound\n"
		 "  perdure log verify -o json | jq '.damage[] | {segment, first_lsn, last_lsn, actors}'\n"
		 "\n" PD_CLI_LOG_EXIT_STATUSES,
};

/* Findings are shown at the end, when all names are known. */
#define FINDINGS_MAX 100000

struct finding {
	struct pd_log_sight sight;
	uint64_t *actors;
};

struct check {
	struct pd_cli_log_source source;
	struct pd_cli_log_names names;
	struct pd_output output;
	struct finding *findings;
	size_t count, capacity;
	bool out_of_memory;
};

static void keep(struct check *check, const struct pd_log_sight *sight)
{
	struct finding *findings;
	size_t size = sight->damage.actor_count * sizeof(uint64_t);
	struct finding *finding;

	if (check->count >= FINDINGS_MAX)
		return;
	findings = pd_grow(check->findings, check->count, &check->capacity, sizeof *findings, 64);
	if (findings == NULL) {
		check->out_of_memory = true;
		return;
	}
	check->findings = findings;
	finding = &check->findings[check->count];
	finding->sight = *sight;
	finding->actors = NULL;
	if (sight->kind == PD_SIGHT_DAMAGE && size > 0) {
		finding->actors = pd_malloc(size);
		if (finding->actors == NULL) {
			check->out_of_memory = true;
			return;
		}
		memcpy(finding->actors, sight->damage.actors, size);
	} else {
		finding->sight.damage.actor_count = 0;
	}
	finding->sight.damage.actors = finding->actors;
	check->count++;
}

static int read_all(struct check *check)
{
	struct pd_log_sight sight;
	int result;

	while ((result = pd_cli_log_source_next(&check->source, &sight)) == 0) {
		if (sight.kind == PD_SIGHT_RECORD)
			pd_cli_log_names_learn(&check->names, &sight);
		else if (sight.kind == PD_SIGHT_DAMAGE || sight.kind == PD_SIGHT_NOTE)
			keep(check, &sight);
		if (check->out_of_memory || check->names.out_of_memory) {
			pd_progress_done(&check->source.progress);
			(void)fprintf(stderr, "%s: out of memory\n", options.command);
			return PD_NO_MEMORY;
		}
	}
	return result;
}

/* The manifest remembers an epoch that the log must have reached. */
static bool epoch_is_missing(const struct check *check)
{
	return pd_log_verifier_totals(check->source.verifier)->epoch < check->source.manifest.epoch;
}

static uint64_t damage_count(const struct check *check)
{
	return pd_log_verifier_totals(check->source.verifier)->damage_count + check->source.manifest_damaged +
	       epoch_is_missing(check);
}

/* ---- text ---- */

static void print_manifest(struct check *check)
{
	const struct pd_cli_log_source *source = &check->source;

	if (source->manifest_damaged)
		pd_output_text(
			&check->output,
			"DAMAGE %s; no record is concerned. Put MANIFEST back from a backup of this data "
			"directory.\n",
			source->manifest_text);
	if (epoch_is_missing(check))
		pd_output_text(
			&check->output,
			"DAMAGE %s/MANIFEST has seen epoch %" PRIu64 ", but the log ends in epoch %" PRIu64
			": segments at its end are missing. Put them back, or restore from a backup.\n",
			source->data, source->manifest.epoch,
			pd_log_verifier_totals(source->verifier)->epoch);
}

static void print_text(struct check *check)
{
	const struct pd_log_totals *totals = pd_log_verifier_totals(check->source.verifier);
	struct pd_output *output = &check->output;
	uint64_t damage = damage_count(check);

	print_manifest(check);
	for (size_t i = 0; i < check->count; i++) {
		const struct pd_log_sight *sight = &check->findings[i].sight;

		if (sight->kind == PD_SIGHT_DAMAGE)
			pd_cli_log_damage_print(&check->names, output, sight);
		else if (sight->segment != 0)
			pd_output_text(output, "note: segment %010u: %s\n", sight->segment,
				       sight->damage.text);
		else
			pd_output_text(output, "note: %s\n", sight->damage.text);
	}
	if (totals->damage_count > FINDINGS_MAX)
		pd_output_text(output, "… and more, of which only the count is kept\n");
	pd_output_text(output,
		       "%" PRIu64 " segments (%" PRIu64 " sealed), %" PRIu64 " groups, %" PRIu64
		       " records, %" PRIu64 " epochs; %" PRIu64 " bytes: %" PRIu64 " of groups, %" PRIu64
		       " not in use, %" PRIu64 " of unfinished writes\n",
		       totals->segments, totals->sealed_segments, totals->groups, totals->records,
		       totals->epochs, totals->total_bytes, totals->used_bytes, totals->unused_bytes,
		       totals->torn_bytes);
	if (totals->records > 0) {
		pd_output_text(output, "LSN %" PRIu64 " (", totals->first_lsn);
		pd_output_time(output, totals->first_time_us);
		pd_output_text(output, ") to %" PRIu64 " (", totals->last_lsn);
		pd_output_time(output, totals->last_time_us);
		pd_output_text(output, ")\n");
	}
	if (damage == 0)
		pd_output_text(output, "no damage\n");
	else
		pd_output_text(output, "%" PRIu64 " %s damaged\n", damage,
			       damage == 1 ? "place is" : "places are");
}

/* ---- JSON ---- */

static void manifest_damage(struct check *check, const char *what, const char *advice)
{
	pd_output_open(&check->output, NULL, '{');
	pd_output_string_field(&check->output, "file", "MANIFEST");
	pd_output_string_field(&check->output, "what", what);
	pd_output_bool_field(&check->output, "records_lost", !check->source.manifest_damaged);
	pd_output_string_field(&check->output, "advice", advice);
	pd_output_close(&check->output, '}');
}

static void print_findings(struct check *check)
{
	struct pd_output *output = &check->output;

	pd_output_open(output, "damage", '[');
	if (check->source.manifest_damaged)
		manifest_damage(check, check->source.manifest_text,
				"Put MANIFEST back from a backup of this data directory.");
	if (epoch_is_missing(check))
		manifest_damage(check, "segments at the end of the log are missing",
				"Put them back, or restore from a backup.");
	for (size_t i = 0; i < check->count; i++) {
		if (check->findings[i].sight.kind != PD_SIGHT_DAMAGE)
			continue;
		pd_output_open(output, NULL, '{');
		pd_cli_log_damage_fields(&check->names, output, &check->findings[i].sight);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	pd_output_open(output, "notes", '[');
	for (size_t i = 0; i < check->count; i++) {
		const struct pd_log_sight *sight = &check->findings[i].sight;

		if (sight->kind != PD_SIGHT_NOTE)
			continue;
		pd_output_open(output, NULL, '{');
		if (sight->segment != 0)
			pd_output_number_field(output, "segment", sight->segment);
		pd_output_string_field(output, "what", sight->damage.text);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void print_json(struct check *check, int status)
{
	const struct pd_log_totals *totals = pd_log_verifier_totals(check->source.verifier);
	struct pd_output *output = &check->output;

	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "data", check->source.data);
	pd_output_number_field(output, "segments", totals->segments);
	pd_output_number_field(output, "sealed_segments", totals->sealed_segments);
	pd_output_number_field(output, "groups", totals->groups);
	pd_output_number_field(output, "records", totals->records);
	pd_output_number_field(output, "epochs", totals->epochs);
	pd_output_number_field(output, "bytes", totals->total_bytes);
	pd_output_number_field(output, "used_bytes", totals->used_bytes);
	pd_output_number_field(output, "unused_bytes", totals->unused_bytes);
	pd_output_number_field(output, "torn_bytes", totals->torn_bytes);
	pd_output_number_field(output, "first_lsn", totals->first_lsn);
	pd_output_number_field(output, "last_lsn", totals->last_lsn);
	pd_output_number_field(output, "epoch", totals->epoch);
	pd_output_number_field(output, "damage_count", damage_count(check));
	print_findings(check);
	pd_output_number_field(output, "exit_status", (uint64_t)status);
	pd_output_close(output, '}');
	pd_output_end(output);
}

/* ---- the run ---- */

static int verify(struct check *check)
{
	int result = read_all(check);
	int status = pd_cli_log_source_status(&check->source, result);

	if (status == PD_EXIT_OK && epoch_is_missing(check))
		status = PD_EXIT_DAMAGED;
	if (check->source.json)
		print_json(check, status);
	else
		print_text(check);
	if (result != PD_END)
		(void)fprintf(stderr, "%s: ended before the end of the log\n", options.command);
	return status;
}

int pd_cli_log_verify_run(int argc, char **argv)
{
	struct given given = { .data = "./data" };
	struct check check = { .output = { .file = stdout } };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	pd_cli_log_names_init(&check.names);
	status = pd_cli_log_source_open(&check.source, &options, given.data, given.json, "verifying");
	if (status == 0)
		status = verify(&check);
	if (!pd_output_finish(&check.output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	for (size_t i = 0; i < check.count; i++)
		pd_free(check.findings[i].actors);
	pd_free(check.findings);
	pd_cli_log_names_done(&check.names);
	pd_cli_log_source_close(&check.source);
	return status;
}

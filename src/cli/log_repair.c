/* `perdure log repair`: heal what can be healed, and say what cannot. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/log_private.h"
#include "engine/repair.h"
#include "server/server.h"

struct given {
	const char *data, *from, *release;
	uint64_t memory_budget;
	bool dry_run, flipped_bits, accept_damage, json;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "memory-budget", "SIZE", PD_OPTION_SIZE, AT(memory_budget), 0, 0,
	  "What opening the directory may take, as for 'perdure server'." },
	{ "dry-run", NULL, PD_OPTION_SWITCH, AT(dry_run), 0, 0,
	  "Say what would be done, and change nothing." },
	{ "from", "DIR", PD_OPTION_TEXT, AT(from), 0, 0,
	  "A copy to take from what is damaged here: of the data directory,\n"
	  "or of the segments of its log alone." },
	{ "flipped-bits", NULL, PD_OPTION_SWITCH, AT(flipped_bits), 0, 0,
	  "Take for one flipped bit whatever looks like one, also where\n"
	  "nothing but a checksum says so: of other damages of a record of\n"
	  "1 MiB one in 512 looks the same, and what is served then was\n"
	  "never written. --dry-run says for each how likely that is." },
	{ "release", "ACTOR", PD_OPTION_TEXT, AT(release), 0, 0,
	  "Serve this [tenant/]actor again, without what it lost. Look at\n"
	  "what it has first; its owner should know." },
	{ "accept-damage", NULL, PD_OPTION_SWITCH, AT(accept_damage), 0, 0,
	  "Go on where nothing tells which actors have lost writes, where\n"
	  "names were lost, or without what may be a flipped bit: without it\n"
	  "nothing is done to the state then." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure log repair",
	.synopsis = "perdure log repair [options]",
	.about =
		"Heals the log of a data directory that no server has open. A bit that has flipped is put "
		"right\n"
		"where it is proven which it was: of records of up to 512 bytes the checksum is proof "
		"enough, of\n"
		"larger ones it tells what is likely, and you decide (--flipped-bits). What a copy (--from) "
		"has\n"
		"whole is taken from there, if checksums, places and the chain prove that it is the same; a\n"
		"write that was not finished is cut. Then the directory is opened as a server opens it. "
		"Actors\n"
		"whose lost writes are all there again are served again; who really lost something stays\n"
		"quarantined, and is named with the LSNs. If damage is left, a checkpoint is made of the "
		"state,\n"
		"and the damaged segments, with those before them, are taken out of the log: later starts do "
		"not\n"
		"meet them. As long as you have to decide what damage is, nothing is done to the state.\n"
		"\n"
		"Nothing is deleted: what is replaced or taken out goes to the directory set-aside in the "
		"data\n"
		"directory. Ended in the middle, it can be run again. The directory needs room for one\n"
		"segment more.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 2, /* PERDURE_DATA, PERDURE_MEMORY_BUDGET */
	.after = "Examples:\n"
		 "  perdure log repair --dry-run\n"
		 "  perdure log repair --data /var/lib/perdure --from /backup/perdure\n"
		 "  perdure log repair --flipped-bits --dry-run\n"
		 "  perdure log repair --release shop/cart-17\n"
		 "\n"
		 "Exit status:\n"
		 "  0  nothing is damaged any more, and nobody is quarantined (with --dry-run: nothing would "
		 "be)\n"
		 "  1  it failed: no such directory, no permission, a full disk\n"
		 "  2  the command line is wrong\n"
		 "  3  a server has the directory open\n"
		 "  4  something is lost, or has to be decided, and was named",
};

struct work {
	struct given given;
	struct pd_cli_log_names names;
	struct pd_output output;
	struct pd_repair repair;
	struct pd_error err;
	int result;
};

/* ---- words ---- */

static const char *const kinds[] = {
	[PD_REPAIR_BIT] = "bit",         [PD_REPAIR_STAMPS] = "stamps",   [PD_REPAIR_COPY] = "copy",
	[PD_REPAIR_SEGMENT] = "segment", [PD_REPAIR_UNUSED] = "unused",   [PD_REPAIR_TORN] = "torn",
	[PD_REPAIR_ASIDE] = "aside",     [PD_REPAIR_PADDING] = "padding", [PD_REPAIR_INDEX] = "index",
};

static const char *const verbs[] = {
	[PD_REPAIR_BIT] = "put right",    [PD_REPAIR_STAMPS] = "put right",  [PD_REPAIR_COPY] = "restored",
	[PD_REPAIR_SEGMENT] = "restored", [PD_REPAIR_UNUSED] = "cleared",    [PD_REPAIR_TORN] = "cut",
	[PD_REPAIR_ASIDE] = "taken out",  [PD_REPAIR_PADDING] = "put right", [PD_REPAIR_INDEX] = "made again",
};

static const char *const planned_verbs[] = {
	[PD_REPAIR_BIT] = "would put right",    [PD_REPAIR_STAMPS] = "would put right",
	[PD_REPAIR_COPY] = "would restore",     [PD_REPAIR_SEGMENT] = "would restore",
	[PD_REPAIR_UNUSED] = "would clear",     [PD_REPAIR_TORN] = "would cut",
	[PD_REPAIR_ASIDE] = "would take out",   [PD_REPAIR_PADDING] = "would put right",
	[PD_REPAIR_INDEX] = "would make again",
};

static bool step_restores(const struct pd_log_repair_step *step)
{
	return step->last_lsn >= step->first_lsn;
}

static void print_step(struct work *work, const struct pd_log_repair_step *step)
{
	struct pd_output *output = &work->output;

	pd_output_text(output, "%s: segment %010u",
		       work->given.dry_run ? planned_verbs[step->kind] : verbs[step->kind], step->segment);
	if (step->size > 0)
		pd_output_text(output, ", byte %" PRIu64 " to %" PRIu64, step->offset,
			       step->offset + step->size - 1);
	pd_output_text(output, ": %s", step->text);
	if (step_restores(step))
		pd_output_text(output, " (LSN %" PRIu64 " to %" PRIu64 ")", step->first_lsn, step->last_lsn);
	pd_output_text(output, "\n");
}

static void print_range(struct pd_output *output, uint64_t first, uint64_t last)
{
	if (last == 0)
		pd_output_text(output, "LSN %" PRIu64 " and after", first);
	else if (first == last)
		pd_output_text(output, "LSN %" PRIu64, first);
	else
		pd_output_text(output, "LSN %" PRIu64 " to %" PRIu64, first, last);
}

static void print_actor(struct work *work, const struct pd_repair_actor *actor)
{
	struct pd_output *output = &work->output;

	pd_output_text(output, "actor ");
	pd_output_word(output, pd_slice_string(actor->name));
	if (actor->healed)
		pd_output_text(output, " is served again: all that it had lost is there, ");
	else if (actor->released)
		pd_output_text(output, " is served again, without ");
	else
		pd_output_text(output, " stays quarantined: it lost ");
	print_range(output, actor->lost_first_lsn, actor->lost_last_lsn);
	pd_output_text(
		output, "%s\n",
		actor->healed || actor->released
			? ""
			: ". Restore it from a backup, or release it with --release once you have looked");
}

static uint64_t doubt_end(const struct pd_log_repair_doubt *doubt)
{
	return doubt->sight.offset + (doubt->sight.size > 0 ? doubt->sight.size - 1 : 0);
}

static void print_doubt(struct work *work, const struct pd_log_repair_doubt *doubt)
{
	const struct pd_log_damage *damage = &doubt->sight.damage;
	struct pd_output *output = &work->output;

	pd_output_text(output, "%s: segment %010u, byte %" PRIu64 " to %" PRIu64,
		       doubt->taken ? "risk" : "undecided", doubt->sight.segment, doubt->sight.offset,
		       doubt_end(doubt));
	if (pd_log_damage_loses(damage)) {
		pd_output_text(output, ", ");
		print_range(output, damage->first_lsn, damage->last_lsn);
	}
	pd_cli_log_damage_whose(&work->names, output, damage);
	pd_output_text(output,
		       ": it looks like one flipped bit, as one in %" PRIu64
		       " damages of any other kind does",
		       doubt->one_in);
	pd_output_text(output,
		       doubt->taken ? ". If it was one of these, what is served was never written\n"
				    : ". Name a copy (--from), take it for a bit (--flipped-bits), or go on "
				      "without it (--accept-damage)\n");
}

static void print_left(struct work *work, const struct pd_repair_left *left)
{
	struct pd_output *output = &work->output;

	if (!left->settled) {
		pd_cli_log_damage_print(&work->names, output, &left->sight);
		return;
	}
	pd_output_text(output, "note: segment %010u, byte %" PRIu64 ": %s; the state is beyond it: ",
		       left->sight.segment, left->sight.offset, left->sight.damage.text);
	print_range(output, left->sight.damage.first_lsn, left->sight.damage.last_lsn);
	pd_output_text(output, " costs nobody anything\n");
}

static void print_text(struct work *work)
{
	const struct pd_repair *repair = &work->repair;
	struct pd_output *output = &work->output;

	if (repair->log.copy_text[0] != '\0')
		pd_output_text(output, "note: the copy cannot be read everywhere: %s\n",
			       repair->log.copy_text);
	for (size_t i = 0; i < repair->log.step_count; i++)
		print_step(work, &repair->log.steps[i]);
	for (size_t i = 0; i < repair->log.doubt_count; i++)
		print_doubt(work, &repair->log.doubts[i]);
	if (repair->manifest_made)
		pd_output_text(output, "%s: MANIFEST, from what the log says\n",
			       work->given.dry_run ? "would write" : "written");
	if (repair->state_made_again)
		pd_output_text(output, "the state was made again from before the loss\n");
	if (repair->state_text[0] != '\0')
		pd_output_text(output, "note: %s\n", repair->state_text);
	if (repair->checkpoint_lsn != 0)
		pd_output_text(output, "the state has all up to LSN %" PRIu64 " in a checkpoint\n",
			       repair->checkpoint_lsn);
	for (size_t i = 0; i < repair->left_count; i++)
		print_left(work, &repair->left[i]);
	for (size_t i = 0; i < repair->actor_count; i++)
		print_actor(work, &repair->actors[i]);
	if (work->result != 0)
		return;
	if (work->given.dry_run)
		pd_output_text(output,
			       "%" PRIu64 " of %" PRIu64
			       " damaged places would be left; nothing was changed\n",
			       repair->damage_after, repair->log.damage_before);
	else if (repair->damage_after > 0)
		pd_output_text(output, "%" PRIu64 " damaged places are left%s\n", repair->damage_after,
			       repair->undecided > 0
				       ? "; nothing was done to the state until it is decided what they are"
				       : "");
	else
		pd_output_text(output, "the log is sound: %zu steps, %" PRIu64 " files replaced\n",
			       repair->log.step_count, repair->log.files_changed);
}

/* ---- JSON ---- */

static void lsn_fields(struct pd_output *output, uint64_t first, uint64_t last)
{
	pd_output_number_field(output, "first_lsn", first);
	if (last != 0)
		pd_output_number_field(output, "last_lsn", last);
}

static void json_steps(struct work *work)
{
	struct pd_output *output = &work->output;

	pd_output_open(output, "steps", '[');
	for (size_t i = 0; i < work->repair.log.step_count; i++) {
		const struct pd_log_repair_step *step = &work->repair.log.steps[i];

		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "kind", kinds[step->kind]);
		pd_output_number_field(output, "segment", step->segment);
		pd_output_number_field(output, "offset", step->offset);
		pd_output_number_field(output, "size", step->size);
		if (step_restores(step))
			lsn_fields(output, step->first_lsn, step->last_lsn);
		pd_output_string_field(output, "what", step->text);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void json_doubts(struct work *work)
{
	struct pd_output *output = &work->output;

	pd_output_open(output, "doubts", '[');
	for (size_t i = 0; i < work->repair.log.doubt_count; i++) {
		const struct pd_log_repair_doubt *doubt = &work->repair.log.doubts[i];

		pd_output_open(output, NULL, '{');
		pd_cli_log_damage_fields(&work->names, output, &doubt->sight);
		pd_output_number_field(output, "one_in", doubt->one_in);
		pd_output_bool_field(output, "taken", doubt->taken);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void json_actors(struct work *work)
{
	struct pd_output *output = &work->output;

	pd_output_open(output, "actors", '[');
	for (size_t i = 0; i < work->repair.actor_count; i++) {
		const struct pd_repair_actor *actor = &work->repair.actors[i];

		pd_output_open(output, NULL, '{');
		pd_output_bytes_field(output, "actor", pd_slice_string(actor->name));
		lsn_fields(output, actor->lost_first_lsn, actor->lost_last_lsn);
		pd_output_bool_field(output, "healed", actor->healed);
		pd_output_bool_field(output, "released", actor->released);
		pd_output_bool_field(output, "quarantined", !actor->healed && !actor->released);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
}

static void print_json(struct work *work, int status)
{
	const struct pd_repair *repair = &work->repair;
	struct pd_output *output = &work->output;

	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "data", work->given.data);
	pd_output_bool_field(output, "dry_run", work->given.dry_run);
	pd_output_number_field(output, "damage_before", repair->log.damage_before);
	pd_output_number_field(output, "damage_after", repair->damage_after);
	json_steps(work);
	json_doubts(work);
	pd_output_number_field(output, "undecided", repair->undecided);
	pd_output_bool_field(output, "manifest_written", repair->manifest_made && !work->given.dry_run);
	pd_output_bool_field(output, "state_made_again", repair->state_made_again);
	pd_output_number_field(output, "checkpoint_lsn", repair->checkpoint_lsn);
	pd_output_open(output, "lost", '[');
	for (size_t i = 0; i < repair->left_count; i++) {
		pd_output_open(output, NULL, '{');
		pd_cli_log_damage_fields(&work->names, output, &repair->left[i].sight);
		pd_output_bool_field(output, "settled", repair->left[i].settled);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	json_actors(work);
	if (work->result != 0)
		pd_output_string_field(output, "error", work->err.text);
	pd_output_number_field(output, "exit_status", (uint64_t)status);
	pd_output_close(output, '}');
	pd_output_end(output);
}

/* ---- the run ---- */

/* Whose names are whose, as far as the log can be read before anything is changed. 0, or an exit status. */
static int learn_names(struct work *work)
{
	struct pd_cli_log_source source;
	struct pd_log_sight sight;
	int status = pd_cli_log_source_open(&source, &options, work->given.data, work->given.json, "reading");
	int result = status;

	while (result == 0) {
		result = pd_cli_log_source_next(&source, &sight);
		if (result == 0 && sight.kind == PD_SIGHT_RECORD)
			pd_cli_log_names_learn(&work->names, &sight);
	}
	if (status == 0 && result != PD_END)
		status = pd_server_exit_status(result);
	pd_cli_log_source_close(&source);
	return status;
}

static int run(struct work *work)
{
	struct pd_repair_options wanted = { .engine = PD_ENGINE_OPTIONS_DEFAULT,
					    .from = work->given.from,
					    .release = work->given.release,
					    .flipped_bits = work->given.flipped_bits,
					    .only_plan = work->given.dry_run };
	bool lost = false;

	work->result = pd_os_real_new(&wanted.engine.os, &work->err);
	if (work->result != 0)
		return PD_EXIT_FAILURE;
	wanted.engine.data_directory = work->given.data;
	wanted.engine.memory_budget_bytes = work->given.memory_budget;
	wanted.engine.accept_damage = work->given.accept_damage;
	work->result = pd_repair_run(&wanted, &work->repair, &work->err);
	pd_os_free(wanted.engine.os);
	for (size_t i = 0; i < work->repair.actor_count; i++)
		lost = lost || (!work->repair.actors[i].healed && !work->repair.actors[i].released);
	for (size_t i = 0; i < work->repair.left_count; i++)
		lost = lost || (!work->repair.left[i].settled &&
				pd_log_damage_loses(&work->repair.left[i].sight.damage));
	if (work->result != 0)
		return pd_server_exit_status(work->result);
	return lost || work->repair.damage_after > 0 ? PD_EXIT_DAMAGED : PD_EXIT_OK;
}

int pd_cli_log_repair_run(int argc, char **argv)
{
	struct work work = { .given = { .data = "./data" }, .output = { .file = stdout } };
	int status;

	if (!pd_options_take(&options, argc, argv, &work.given, &status))
		return status;
	if (work.given.dry_run && work.given.release != NULL)
		return pd_options_wrong(&options,
					"--release does something, and --dry-run does nothing: name one");
	pd_cli_log_names_init(&work.names);
	pd_repair_init(&work.repair);
	status = learn_names(&work);
	if (status == 0) {
		status = run(&work);
		if (work.given.json)
			print_json(&work, status);
		else
			print_text(&work);
		if (work.result != 0)
			(void)fprintf(stderr, "%s: %s\n", options.command, work.err.text);
	}
	if (!pd_output_finish(&work.output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	pd_repair_done(&work.repair);
	pd_cli_log_names_done(&work.names);
	return status;
}

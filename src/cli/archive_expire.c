/* `perdure archive expire`, `hold`, `release` and `holds`: what of an archive goes, and what keeps it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/expire.h"
#include "cli/archive_private.h"
#include "cli/output.h"
#include "server/server.h"

/* ---- expire ---- */

static const struct pd_option expire_table[] = {
	PD_CLI_ARCHIVE_OPTIONS,
	{ "older-than", "DURATION", PD_OPTION_DURATION_MS,
	  offsetof(struct pd_cli_archive_given, older_than_ms), 1, 0,
	  "Segments whose last record is older than that, such as 90d." },
	{ "dry-run", NULL, PD_OPTION_SWITCH, offsetof(struct pd_cli_archive_given, dry_run), 0, 0,
	  "Only say what would go." },
};

static const struct pd_options expire_options = {
	.command = "perdure archive expire",
	.synopsis = "perdure archive expire --archive ADDRESS --older-than DURATION [options]",
	.about = "Lets go of archived segments that are older than they have to be, oldest first. What is "
		 "left can be\n"
		 "replayed only onto a copy of the state from behind its new beginning: have one. The newest "
		 "segment stays.\n"
		 "While there is a hold nothing goes. A server with --archive-retention does this by itself.",
	.table = expire_table,
	.count = sizeof expire_table / sizeof *expire_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure archive expire --archive /mnt/archive --older-than 90d --dry-run\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
};

static void print_expired(struct pd_output *output, const struct pd_archive_expired *expired, bool dry_run,
			  bool json)
{
	if (json) {
		pd_output_open(output, NULL, '{');
		pd_output_bool_field(output, "held", expired->held);
		pd_output_string_field(output, "hold", expired->hold);
		pd_output_bool_field(output, "dry_run", dry_run);
		pd_output_number_field(output, "objects", expired->objects);
		pd_output_number_field(output, "bytes", expired->bytes);
		pd_output_number_field(output, "first_lsn", expired->first_lsn);
		pd_output_close(output, '}');
		pd_output_end(output);
		return;
	}
	if (expired->held) {
		pd_output_text(output, "nothing goes: the hold '%s' keeps all of it\n", expired->hold);
		return;
	}
	pd_output_text(output, "%" PRIu64 " objects, %s %s", expired->objects,
		       pd_size_text((double)expired->bytes).bytes, dry_run ? "would go" : "are gone");
	if (expired->first_lsn > 0)
		pd_output_text(output, "; the archive %s LSN %" PRIu64,
			       dry_run ? "would begin with" : "begins with", expired->first_lsn);
	pd_output_text(output, "\n");
}

int pd_cli_archive_expire_run(int argc, char **argv)
{
	struct pd_cli_archive_given given = { 0 };
	struct pd_output output = { .file = stdout };
	struct pd_archive_expired expired;
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	uint64_t now_us, age_us;
	int status;

	if (!pd_options_take(&expire_options, argc, argv, &given, &status))
		return status;
	if (given.older_than_ms == 0)
		return pd_options_wrong(&expire_options, "older than what? Give --older-than, such as 90d");
	status = pd_cli_archive_open(&archive, &expire_options, &given);
	if (status == PD_EXIT_OK) {
		now_us = pd_os_real_us(archive.os);
		age_us = given.older_than_ms <= UINT64_MAX / 1000 ? given.older_than_ms * 1000 : UINT64_MAX;
		if (pd_archive_expire(archive.store, &archive.log, age_us < now_us ? now_us - age_us : 0,
				      given.dry_run, &expired, &err) != 0) {
			status = pd_cli_archive_failed(&expire_options, &err);
		} else {
			print_expired(&output, &expired, given.dry_run, given.json);
			status = pd_output_finish(&output) && !expired.held ? PD_EXIT_OK : PD_EXIT_FAILURE;
		}
	}
	pd_cli_archive_close(&archive);
	return status;
}

/* ---- hold, release ---- */

static const struct pd_option hold_table[] = {
	PD_CLI_ARCHIVE_OPTIONS,
	{ "why", "TEXT", PD_OPTION_TEXT, offsetof(struct pd_cli_archive_given, why), 0, 0,
	  "What it is for, and who knows of it." },
};

static const struct pd_options hold_options = {
	.command = "perdure archive hold",
	.synopsis = "perdure archive hold NAME --archive ADDRESS --why TEXT [options]",
	.about = "Puts a hold on the archived log: nothing of it expires until 'perdure archive release "
		 "NAME', whatever the\n"
		 "retention of any server is.",
	.table = hold_table,
	.count = sizeof hold_table / sizeof *hold_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = "Examples:\n"
		 "  perdure archive hold case-4711 --why 'inquiry of 3 May; ask legal' --archive "
		 "/mnt/archive\n"
		 "\n" PD_CLI_ARCHIVE_EXIT_STATUSES,
};

static const struct pd_option look_table[] = { PD_CLI_ARCHIVE_OPTIONS };

static const struct pd_options release_options = {
	.command = "perdure archive release",
	.synopsis = "perdure archive release NAME --archive ADDRESS [options]",
	.about = "Ends a hold on the archived log. What it alone has kept may expire from now on.",
	.table = look_table,
	.count = sizeof look_table / sizeof *look_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = PD_CLI_ARCHIVE_EXIT_STATUSES,
};

/* One of the two, with the name that is its only operand. */
static int run_named(const struct pd_options *options, int argc, char **argv, bool hold)
{
	struct pd_cli_archive_given given = { 0 };
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	int operand, status, result;

	if (!pd_options_begin(options, argc, argv, &given, &operand, &status))
		return status;
	if (operand + 1 != argc)
		return pd_options_wrong(options, "one name is wanted");
	if (hold && given.why == NULL)
		return pd_options_wrong(options, "say with --why what it is for: somebody will ask");
	status = pd_cli_archive_open(&archive, options, &given);
	if (status == PD_EXIT_OK) {
		result = hold ? pd_archive_hold(archive.store, &archive.log, argv[operand], given.why,
						pd_os_real_us(archive.os), &err)
			      : pd_archive_release(archive.store, &archive.log, argv[operand], &err);
		if (result != 0)
			status = pd_cli_archive_failed(options, &err);
	}
	pd_cli_archive_close(&archive);
	return status;
}

int pd_cli_archive_hold_run(int argc, char **argv)
{
	return run_named(&hold_options, argc, argv, true);
}

int pd_cli_archive_release_run(int argc, char **argv)
{
	return run_named(&release_options, argc, argv, false);
}

/* ---- holds ---- */

static const struct pd_options holds_options = {
	.command = "perdure archive holds",
	.synopsis = "perdure archive holds [options]",
	.about = "Lists the holds on an archived log, with what was said of them.",
	.table = look_table,
	.count = sizeof look_table / sizeof *look_table,
	.environment_count = PD_CLI_ARCHIVE_ENVIRONMENT,
	.after = PD_CLI_ARCHIVE_EXIT_STATUSES,
};

struct listing {
	struct pd_output output;
	bool json;
};

/* What is behind "why " in a hold's text, to the end of the line. */
static struct pd_slice why_of(struct pd_slice text)
{
	static const char why[] = "\nwhy ";
	const uint8_t *at = memmem(text.data, text.size, why, sizeof why - 1);
	const uint8_t *end;

	if (at == NULL)
		return pd_slice(text.data, 0);
	at += sizeof why - 1;
	end = memchr(at, '\n', text.size - (size_t)(at - text.data));
	return pd_slice(at, (end != NULL ? (size_t)(end - at) : text.size - (size_t)(at - text.data)));
}

static int print_hold(void *context, const char *name, struct pd_slice text, struct pd_error *err)
{
	struct listing *listing = context;

	(void)err;
	if (listing->json) {
		pd_output_open(&listing->output, NULL, '{');
		pd_output_string_field(&listing->output, "name", name);
		pd_output_bytes_field(&listing->output, "why", why_of(text));
		pd_output_close(&listing->output, '}');
		return 0;
	}
	pd_output_text(&listing->output, "%s: ", name);
	pd_output_lax(&listing->output, why_of(text));
	pd_output_text(&listing->output, "\n");
	return 0;
}

int pd_cli_archive_holds_run(int argc, char **argv)
{
	struct listing listing = { .output = { .file = stdout } };
	struct pd_cli_archive_given given = { 0 };
	struct pd_cli_archive archive;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&holds_options, argc, argv, &given, &status))
		return status;
	listing.json = given.json;
	status = pd_cli_archive_open(&archive, &holds_options, &given);
	if (status == PD_EXIT_OK) {
		if (given.json)
			pd_output_open(&listing.output, NULL, '[');
		if (pd_archive_holds(archive.store, &archive.log, print_hold, &listing, &err) != 0)
			status = pd_cli_archive_failed(&holds_options, &err);
		if (given.json) {
			pd_output_close(&listing.output, ']');
			pd_output_end(&listing.output);
		}
		if (!pd_output_finish(&listing.output) && status == PD_EXIT_OK)
			status = PD_EXIT_FAILURE;
	}
	pd_cli_archive_close(&archive);
	return status;
}

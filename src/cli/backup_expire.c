/* `perdure backup expire`: old backups go, and what only they named. */
#include <inttypes.h>
#include <stdio.h>

#include "backup/expire.h"
#include "cli/backup_private.h"
#include "server/server.h"

static const struct pd_option table[] = {
	PD_BACKUP_OPTIONS_OF_PLACE,
	{ "keep", "COUNT", PD_OPTION_NUMBER, PD_BACKUP_AT(keep), 0, 0,
	  "Keep the newest so many full, incremental and differential ones, with\nthe log since." },
	{ "keep-for", "TIME", PD_OPTION_DURATION_MS, PD_BACKUP_AT(keep_for_ms), 0, 0,
	  "Keep those that were made within so long before the newest: 720h." },
	{ "keep-daily", "COUNT", PD_OPTION_NUMBER, PD_BACKUP_AT(keep_daily), 0, 0,
	  "Keep the last one of each of the newest so many days that have one." },
	{ "keep-weekly", "COUNT", PD_OPTION_NUMBER, PD_BACKUP_AT(keep_weekly), 0, 0,
	  "The same by weeks, which begin on Monday." },
	{ "keep-monthly", "COUNT", PD_OPTION_NUMBER, PD_BACKUP_AT(keep_monthly), 0, 0, "By months." },
	{ "keep-yearly", "COUNT", PD_OPTION_NUMBER, PD_BACKUP_AT(keep_yearly), 0, 0, "By years." },
	{ "dry-run", NULL, PD_OPTION_SWITCH, PD_BACKUP_AT(dry_run), 0, 0,
	  "Only say what would go, and what stays by which rule." },
	PD_BACKUP_OPTION_JSON,
};

static const struct pd_options options = {
	.command = "perdure backup expire",
	.synopsis = "perdure backup expire --keep COUNT|--keep-for TIME|--keep-daily COUNT|... --repository "
		    "ADDRESS [options]",
	.about = "Removes backups that no rule keeps, and then every piece that no backup names any more. "
		 "One stays if "
		 "any\nrule says so, or if one that stays needs it; the newest that can be restored "
		 "always stays. What an "
		 "earlier\nbackup has left that did not come to its end goes, too.\n\n"
		 "Days, weeks, months and years are those of UTC, and a backup belongs to the one in which "
		 "it was made.\nEach of these rules goes back from the newest backup for itself, over those "
		 "that "
		 "have a state: the\nlast one of a period stays, and periods without any are not counted.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = PD_BACKUP_PLACE_OPTIONS,
	.after = "Examples:\n"
		 "  perdure backup expire --keep 7 --keep-for 720h --repository /backup/perdure --dry-run\n"
		 "  perdure backup expire --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --repository "
		 "/backup/perdure\n"
		 "\n" PD_BACKUP_EXIT_STATUSES,
};

static void tell_kept_text(struct pd_output *output, const struct pd_expire_kept *kept)
{
	const char *between = "";

	pd_output_text(output, "stays: %s (", kept->id);
	for (unsigned bit = 0; bit < PD_RETENTION_REASON_COUNT; bit++)
		if ((kept->why & 1u << bit) != 0) {
			pd_output_text(output, "%s%s", between, pd_retention_reason_name(bit));
			between = ", ";
		}
	pd_output_text(output, ")\n");
}

static void tell_kept(struct pd_output *output, const struct pd_expire_kept *kept)
{
	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "id", kept->id);
	pd_output_open(output, "rules", '[');
	for (unsigned bit = 0; bit < PD_RETENTION_REASON_COUNT; bit++)
		if ((kept->why & 1u << bit) != 0)
			pd_output_string_field(output, NULL, pd_retention_reason_name(bit));
	pd_output_close(output, ']');
	pd_output_close(output, '}');
}

static void tell(struct pd_backup_work *work, const struct pd_expired *expired)
{
	struct pd_output *output = &work->output;

	if (!work->given.json) {
		for (size_t i = 0; i < expired->ids.count; i++)
			pd_output_text(output, "%s %s\n",
				       work->given.dry_run ? "would go:" : "gone:", expired->ids.names[i]);
		for (size_t i = 0; i < expired->kept_count && work->given.dry_run; i++)
			tell_kept_text(output, &expired->kept[i]);
		pd_output_text(output, "%" PRIu64 " backup%s, %" PRIu64 " pieces, %s%s\n", expired->backups,
			       expired->backups == 1 ? "" : "s", expired->pieces,
			       pd_size_text((double)expired->bytes).bytes,
			       work->given.dry_run ? " would go; nothing was changed" : "");
		return;
	}
	pd_backup_line_begin(work, "done");
	pd_output_bool_field(output, "dry_run", work->given.dry_run);
	pd_output_open(output, "backups", '[');
	for (size_t i = 0; i < expired->ids.count; i++)
		pd_output_string_field(output, NULL, expired->ids.names[i]);
	pd_output_close(output, ']');
	pd_output_open(output, "kept", '[');
	for (size_t i = 0; i < expired->kept_count; i++)
		tell_kept(output, &expired->kept[i]);
	pd_output_close(output, ']');
	pd_output_number_field(output, "pieces", expired->pieces);
	pd_output_number_field(output, "bytes", expired->bytes);
	pd_backup_line_end(work);
}

static struct pd_retention_rules rules_of(const struct pd_backup_given *given)
{
	return (struct pd_retention_rules){ .keep = given->keep,
					    .age_us = pd_retention_age_us(given->keep_for_ms),
					    .periods = { given->keep_daily, given->keep_weekly,
							 given->keep_monthly, given->keep_yearly } };
}

static int expire(struct pd_backup_work *work)
{
	struct pd_retention_rules rules = rules_of(&work->given);
	struct pd_backup_watch watch = { .go_on = pd_backup_progress_watch, .context = work };
	struct pd_expired expired;
	struct pd_error err = { 0 };
	int status = PD_EXIT_OK, result;

	pd_backup_progress_begin(work, "removing");
	result = pd_backup_expire(work->repository, &rules, work->given.dry_run, &watch, &expired, &err);
	pd_backup_progress_end(work);
	if (result == 0)
		tell(work, &expired);
	else
		status = pd_backup_work_failed(work, result, &err);
	pd_expired_done(&expired);
	return status;
}

int pd_backup_expire_run(int argc, char **argv)
{
	struct pd_retention_rules rules;
	struct pd_backup_work work;
	const char *operand;
	int status;

	if (!pd_backup_work_begin(&work, &options, argc, argv, &operand, &status))
		return status;
	rules = rules_of(&work.given);
	if (operand != NULL)
		status = pd_options_wrong(&options, "unexpected word \"%s\"", operand);
	else if (!pd_retention_has_rules(&rules))
		status = pd_options_wrong(
			&options, "which are to stay? Say --keep COUNT, --keep-for TIME, --keep-daily "
				  "COUNT or another such rule");
	else
		status = pd_backup_work_open(&work);
	if (status == PD_EXIT_OK)
		status = expire(&work);
	return pd_backup_work_end(&work, status);
}

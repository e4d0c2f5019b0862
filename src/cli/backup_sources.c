/* Where log is had that no backup has: an archive, a dead server's directory. Opened for who restores, and told of. */
#include <inttypes.h>

#include "backup/go_on.h"
#include "cli/backup_private.h"
#include "cli/cli.h"

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* At the repository's service, unless it is said where else: then nothing that was said of that one is of use. */
static struct pd_object_place place_of_archive(const struct pd_backup_work *work)
{
	const struct pd_backup_given *given = &work->given;
	struct pd_object_place place = work->place.store;

	if (is_given(given->archive_s3_endpoint) || is_given(given->archive_s3_region) ||
	    is_given(given->archive_s3_style) || is_given(given->archive_s3_ca_file))
		place = (struct pd_object_place){ .s3_endpoint = given->archive_s3_endpoint,
						  .s3_region = given->archive_s3_region,
						  .s3_style = given->archive_s3_style,
						  .s3_ca_file = given->archive_s3_ca_file };
	place.address = given->archive;
	place.s3_profile = given->archive_s3_profile;
	return place;
}

int pd_backup_sources_open(const struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
			   struct pd_backup_sources *ret_sources, struct pd_error *err)
{
	const struct pd_backup_given *given = &work->given;
	const struct pd_object_place archive = place_of_archive(work);
	int result = 0;

	*ret_sources = (struct pd_backup_sources){ .count = 0 };
	if (is_given(given->archive)) {
		result = pd_further_archive_new(work->os, &archive, manifest->cluster_id, manifest->shard,
						&ret_sources->items[0], err);
		ret_sources->count += result == 0;
	}
	if (result == 0 && is_given(given->log)) {
		result = pd_further_log_new(work->os, given->log, manifest->cluster_id, manifest->shard,
					    &ret_sources->items[ret_sources->count], err);
		ret_sources->count += result == 0;
	}
	return result;
}

void pd_backup_sources_close(struct pd_backup_sources *sources)
{
	for (size_t s = 0; s < sources->count; s++)
		pd_further_free(sources->items[s]);
	*sources = (struct pd_backup_sources){ .count = 0 };
}

void pd_backup_tell_backup(struct pd_backup_work *work, const struct pd_backup_manifest *plan)
{
	struct pd_output *output = &work->output;

	if (!work->given.json) {
		pd_output_text(output, "backup %s: ", plan->id);
		if (plan->base.lsn > 0)
			pd_output_text(output, "the state of LSN %" PRIu64 ", ", plan->base.lsn);
		pd_output_text(output, "log to LSN %" PRIu64 ", ", plan->end.lsn);
		pd_output_time(output, plan->end.time_us);
		pd_output_text(output, ", %s\n", pd_size_text((double)pd_backup_manifest_bytes(plan)).bytes);
		return;
	}
	pd_backup_line_begin(work, "backup");
	pd_output_string_field(output, "id", plan->id);
	pd_output_number_field(output, "checkpoint_lsn", plan->base.lsn);
	pd_output_number_field(output, "last_lsn", plan->end.lsn);
	pd_output_time_field(output, "last_time", plan->end.time_us);
	pd_output_number_field(output, "bytes", pd_backup_manifest_bytes(plan));
	pd_backup_line_end(work);
}

void pd_backup_tell_gone_on(void *context, const struct pd_gone_on *gone)
{
	struct pd_backup_work *work = context;
	struct pd_output *output = &work->output;

	if (gone->last_lsn < gone->first_lsn)
		return; /* the end of a segment, and no record */
	pd_backup_progress_end(work);
	if (!work->given.json) {
		pd_output_text(output, "%s: LSN %" PRIu64 " to %" PRIu64 ", ", gone->source->name,
			       gone->first_lsn, gone->last_lsn);
		pd_output_time(output, gone->last_time_us);
		pd_output_text(output, ", %s\n", pd_size_text((double)gone->bytes).bytes);
		return;
	}
	pd_backup_line_begin(work, gone->source->ops->kind);
	pd_output_string_field(output, "from", gone->source->name);
	pd_output_number_field(output, "first_lsn", gone->first_lsn);
	pd_output_number_field(output, "last_lsn", gone->last_lsn);
	pd_output_time_field(output, "last_time", gone->last_time_us);
	pd_output_number_field(output, "segments", gone->segments);
	pd_output_number_field(output, "bytes", gone->bytes);
	pd_backup_line_end(work);
}

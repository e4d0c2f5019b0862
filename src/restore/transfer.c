/* Exports and imports: orders whose work comes and goes in pieces, as fast as whoever has given them asks for the next.
 *
 * An export finds its past like a fork; then
 *
 *     WRITE   task: the next lines                         <-+
 *     HANDED  they are the reply; whoever wants more says so --+
 *
 * An import has no past.
 *
 *     TAKE    lines come; from the first on there is a draft, and what they say is put into it
 *
 * and VIEW, VERIFY, PUBLISH as job.c has them, with the hash of the last line instead of that of a past. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "restore/job_private.h"
#include "wire/resp.h"

#define MISSING_BYTES 96u /* of a reply, for a relation that was not taken up, beside its names */
#define TURN_BYTES    ((size_t)64 * 1024) /* of lines, which nobody else is served beside: about a millisecond */

bool pd_restore_is_transfer(const struct pd_restore_job *job)
{
	return job->order.verb == PD_RESTORE_EXPORT || job->order.verb == PD_RESTORE_IMPORT;
}

uint64_t pd_restore_now_us(const struct pd_restore_job *job)
{
	return pd_os_monotonic_ns(pd_engine_os(job->jobs->engine)) / 1000;
}

bool pd_restore_is_idle(const struct pd_restore_job *job)
{
	return (job->stage == PD_STAGE_HANDED || job->stage == PD_STAGE_TAKE) &&
	       pd_restore_now_us(job) - job->touched_us > PD_RESTORE_IDLE_US;
}

int pd_restore_say_over(struct pd_restore_job *job, struct pd_error *err)
{
	return pd_error_set(err, PD_CANCELLED,
			    "the %s was given up, since nobody went on with it: begin again",
			    pd_restore_verb_name(job->order.verb));
}

bool pd_restore_job_is(const struct pd_restore_job *job, const char *order)
{
	return strcmp(pd_restore_verb_name(job->order.verb), order) == 0;
}

/* ---- exports ---- */

static void run_write(void *argument)
{
	struct pd_restore_job *job = argument;

	job->result = job->export.done ? 0 : pd_restore_go_on(job, 0);
	if (job->result == 0 && !job->export.done)
		job->result = pd_export_fill(&job->export, &job->piece, &job->err);
	else if (job->result != 0)
		(void)pd_error_set(
			&job->err, job->result,
			"the export took longer than what it reads is kept for: give the server a longer "
			"--view-age, and export again");
}

int pd_restore_write_lines(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_resp_writer reply = { .buffer = &job->reply, .protocol = job->protocol };
	int result = pd_restore_run_task(job, run_write, err);

	if (result != 0)
		return result;
	pd_buffer_clear(&job->reply);
	pd_resp_write_bulk(&reply, pd_buffer_slice(&job->piece));
	if (reply.failed != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a piece of an export");
	pd_buffer_clear(&job->piece);
	job->written_keys = job->export.keys;
	job->written_bytes = job->export.bytes;
	job->touched_us = pd_restore_now_us(job);
	job->stage = PD_STAGE_HANDED;
	return 0;
}

void pd_restore_job_next(struct pd_restore_job *job)
{
	if (job->stage == PD_STAGE_HANDED)
		job->stage = PD_STAGE_WRITE;
}

/* ---- imports ---- */

void pd_restore_init_import(struct pd_restore_job *job)
{
	pd_import_reader_init(&job->reader, pd_engine_large_sizes(job->jobs->engine),
			      pd_restore_memory_max(job->jobs->engine) / 2);
	job->stop = PD_IMPORT_ALL;
}

/* Where it is to be: a tenant that the session reaches, and a name that is free, or may be taken. */
static int find_place(struct pd_restore_job *job, struct pd_slice tenant, struct pd_slice name,
		      struct pd_error *err)
{
	int result;

	if (!pd_session_reaches(job->session, tenant))
		return pd_error_set(err, PD_PERMISSION,
				    "tenant '%.*s' is not this user's: name the actor without a tenant",
				    (int)(tenant.size < 64 ? tenant.size : 64), (const char *)tenant.data);
	result = pd_restore_check_free(job, tenant, name, job->order.replaces ? &job->known.actor : NULL,
				       err);
	if (result == 0)
		result = pd_restore_keep_names(job, tenant, name, err);
	job->order.name = job->known.name;
	return result;
}

int pd_restore_begin_import(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_slice tenant = pd_session_tenant(job->session), name;

	job->stage = PD_STAGE_TAKE;
	if (pd_engine_is_in_memory(job->jobs->engine))
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"everything is kept in memory here, where nothing is imported: start the server "
			"with --data");
	if (job->order.name.size == 0)
		return pd_restore_keep_names(job, tenant, pd_slice(NULL, 0), err);
	pd_restore_take_apart(job->order.name, &tenant, &name);
	return find_place(job, tenant, name, err);
}

/* The first line is known. */
static int begin_draft(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_tenant_info tenant;
	struct pd_slice name = pd_buffer_slice(&job->reader.actor);
	enum pd_level level = job->reader.profile.level;
	int result = job->known.name.size > 0 ? 0
					      : find_place(job, pd_session_tenant(job->session), name, err);

	if (result == 0 && level != PD_LEVEL_UNSET)
		result = pd_engine_check_level(job->jobs->engine, level, err);
	if (result == 0)
		result = pd_draft_begin(job->jobs->engine, job->session, job->known.tenant, &job->draft,
					&job->receipt, err);
	if (result != 0)
		return result;
	job->draft_id = pd_draft_id(job->draft);
	if (pd_engine_tenant_info(job->jobs->engine, job->session, job->known.tenant, &tenant, NULL) == 0)
		job->tenant_quotas = tenant.quotas;
	return 0;
}

static bool exceeds(uint64_t number, uint64_t quota)
{
	return quota != 0 && number > quota;
}

/* What is more than could be published is not written at all. */
static int check_quotas(const struct pd_restore_job *job, struct pd_error *err)
{
	const struct pd_quotas *own = &job->reader.profile.quotas, *all = &job->tenant_quotas;
	uint64_t keys = job->reader.keys, bytes = job->reader.entry_bytes;

	if (!exceeds(keys, own->keys) && !exceeds(keys, all->keys) && !exceeds(bytes, own->bytes) &&
	    !exceeds(bytes, all->bytes))
		return 0;
	return pd_error_set(
		err, PD_QUOTA,
		"the import has %" PRIu64 " keys and %" PRIu64
		" bytes so far, more than a quota of the actor or its tenant allows: raise that of the "
		"tenant, or export less",
		keys, bytes);
}

static int take_numbers(struct pd_restore_job *job, struct pd_error *err)
{
	uint64_t first;
	int result = pd_draft_blobs(job->draft, PD_RESTORE_NUMBERS, &first, &job->receipt, err);

	if (result == 0)
		pd_import_reader_give(&job->reader, first, PD_RESTORE_NUMBERS);
	return result;
}

/* Until all bytes were read, and what they say is in the draft. Each step comes again as it was where it has to wait. */
static int take(struct pd_restore_job *job, struct pd_slice bytes, struct pd_error *err)
{
	size_t turn = 0; /* bytes that were read in it */
	int result = 0;

	while (result == 0) {
		size_t left = bytes.size - job->taken, size = 0;

		if (job->reader.begun && job->draft == NULL) {
			result = begin_draft(job, err);
		} else if (job->piece.size > 0) {
			result = pd_restore_put_piece(job, err);
		} else if (job->stop == PD_IMPORT_NUMBERS) {
			result = take_numbers(job, err);
			job->stop = result == 0 ? PD_IMPORT_ALL : job->stop;
		} else if (job->stop == PD_IMPORT_ALL && job->taken == bytes.size) {
			job->taken = 0;
			return 0;
		} else if (turn >= TURN_BYTES) {
			job->receipt.retry_us = 1;
			return pd_error_set(err, PD_AGAIN, "it is others' turn");
		} else {
			result = pd_import_read(&job->reader,
						pd_slice(bytes.data + job->taken,
							 left < TURN_BYTES - turn ? left : TURN_BYTES - turn),
						&size, &job->piece, &job->stop, err);
			turn += size;
			job->taken += size;
			if (result == 0)
				result = check_quotas(job, err);
		}
	}
	return result;
}

int pd_restore_job_put(struct pd_restore_job *job, struct pd_slice bytes,
		       const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	int result;

	job->receipt = (struct pd_receipt){ 0 };
	*ret_receipt = &job->receipt;
	if (job->stage != PD_STAGE_TAKE)
		return pd_restore_say_over(job, err);
	if (bytes.size == 0 || bytes.size > PD_RESTORE_IMPORT_PUT_MAX)
		return pd_error_set(err, PD_INVALID, "a piece has 1 to %zu bytes, and this one %zu",
				    PD_RESTORE_IMPORT_PUT_MAX, bytes.size);
	job->touched_us = pd_restore_now_us(job);
	result = take(job, bytes, err);
	job->written_keys = job->reader.keys;
	job->written_bytes = job->reader.entry_bytes;
	return result;
}

int pd_restore_place_import(struct pd_restore_job *job, struct pd_draft_place *place, struct pd_error *err)
{
	struct pd_import_reader *reader = &job->reader;

	place->profile = reader->profile;
	if (reader->relation_count == 0 || job->order.without_relations)
		return 0;
	if (job->arrival.missing == NULL)
		job->arrival.missing = pd_calloc(reader->relation_count, sizeof *job->arrival.missing);
	if (job->arrival.missing == NULL ||
	    pd_buffer_reserve(&job->reply, PD_RESTORE_REPLY_MAX + reader->relations.size +
						   reader->relation_count * MISSING_BYTES) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for what an import is answered with");
	job->arrival.entries = pd_buffer_slice(&reader->relations);
	job->arrival.was = pd_buffer_slice(&reader->actor);
	place->relations = &job->arrival;
	return 0;
}

int pd_restore_job_end(struct pd_restore_job *job, struct pd_error *err)
{
	int result;

	if (job->stage != PD_STAGE_TAKE)
		return job->stage == PD_STAGE_OVER ? pd_restore_say_over(job, err) : 0;
	result = pd_import_read_end(&job->reader, err);
	if (result == 0)
		job->stage = PD_STAGE_VIEW;
	return result;
}

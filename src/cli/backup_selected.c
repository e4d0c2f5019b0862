/* Backups of some actors, as the subcommands of `perdure backup` show, check and restore them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/actors.h"
#include "cli/actor_bulk.h"
#include "cli/backup_private.h"
#include "model/kv/glob.h"
#include "restore/order.h"
#include "server/server.h"

/* ---- what they are of ---- */

void pd_backup_print_selection(struct pd_output *output, const struct pd_backup_manifest *manifest)
{
	pd_output_text(output, "%" PRIu64 " actor%s of tenant ", manifest->actors,
		       manifest->actors == 1 ? "" : "s");
	pd_output_word(output, pd_slice_string(manifest->tenant));
	if (manifest->match != NULL) {
		pd_output_text(output, " that match ");
		pd_output_word(output, pd_slice_string(manifest->match));
	}
}

void pd_backup_selection_fields(struct pd_output *output, const struct pd_backup_manifest *manifest)
{
	if (manifest->kind != PD_BACKUP_ACTORS)
		return;
	pd_output_bytes_field(output, "tenant", pd_slice_string(manifest->tenant));
	if (manifest->match != NULL)
		pd_output_bytes_field(output, "match", pd_slice_string(manifest->match));
}

/* ---- which they are ---- */

static void print_actor(struct pd_output *output, const struct pd_backup_actor *actor, const char *hash,
			bool json)
{
	if (!json) {
		pd_output_text(output, "  %12" PRIu64 " keys %12" PRIu64 " bytes  %s  ", actor->keys,
			       actor->bytes, hash);
		pd_output_word(output, actor->name);
		pd_output_text(output, "\n");
		return;
	}
	pd_output_open(output, NULL, '{');
	pd_output_bytes_field(output, "actor", actor->name);
	pd_output_number_field(output, "keys", actor->keys);
	pd_output_number_field(output, "bytes", actor->bytes);
	pd_output_string_field(output, "hash", hash);
	pd_output_close(output, '}');
}

int pd_backup_print_actors(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
			   struct pd_error *err)
{
	const struct pd_backup_actor *actor;
	struct pd_backup_actors *actors;
	int result = pd_backup_actors_open(work->repository, manifest, NULL, &actors, err);

	if (result != 0)
		return result;
	while ((actor = pd_backup_actors_next(actors)) != NULL) {
		char hash[33];

		pd_hash128_format(actor->hash, hash);
		print_actor(&work->output, actor, hash, work->given.json);
	}
	pd_backup_actors_close(actors);
	return 0;
}

/* ---- are they as they were? ---- */

int pd_backup_check_each(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
			 struct pd_error *err)
{
	struct pd_backup_watch watch = { .go_on = pd_backup_progress_watch, .context = work };
	const struct pd_backup_actor *actor;
	struct pd_backup_actors *actors;
	int result = pd_backup_actors_open(work->repository, manifest, &watch, &actors, err);

	if (result != 0)
		return result;
	while (result == 0 && (actor = pd_backup_actors_next(actors)) != NULL)
		result = pd_backup_actors_check(actors, actor, err);
	pd_backup_actors_close(actors);
	return result;
}

/* ---- into a server, or into files ---- */

struct selected {
	const struct pd_backup_manifest *manifest;
	struct pd_backup_actors *actors;
};

static bool is_default(const char *tenant)
{
	return strcmp(tenant, "default") == 0;
}

/* As it can be said. */
static int add_name(struct pd_actor_names *names, const char *tenant, struct pd_slice name,
		    struct pd_error *err)
{
	struct pd_buffer said;
	int result = 0;

	if (is_default(tenant))
		return pd_actor_names_add(names, name, err);
	pd_buffer_init(&said, 4096);
	if (pd_buffer_printf(&said, "%s/", tenant) != 0 || pd_buffer_append_slice(&said, name) != 0)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for the name of an actor");
	if (result == 0)
		result = pd_actor_names_add(names, pd_buffer_slice(&said), err);
	pd_buffer_done(&said);
	return result;
}

static int list(const struct pd_bulk *bulk, struct pd_actor_names *names, struct pd_error *err)
{
	const struct selected *selected = bulk->source;
	const char *match = bulk->given->match;
	const struct pd_backup_actor *actor;
	int result = 0;

	while ((actor = pd_backup_actors_next(selected->actors)) != NULL)
		if (result == 0 && (match == NULL || pd_glob_match(pd_slice_string(match), actor->name)))
			result = add_name(names, selected->manifest->tenant, actor->name, err);
	if (result == 0 && names->count == 0)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"no actor in backup %s matches '%.100s': 'perdure backup info' lists them",
			selected->manifest->id, match != NULL ? match : "*");
	return result;
}

static int fetch(const struct pd_bulk *bulk, struct pd_slice said,
		 int (*take)(void *context, struct pd_slice lines, struct pd_error *err), void *context,
		 struct pd_error *err)
{
	const struct selected *selected = bulk->source;
	struct pd_slice tenant = pd_slice_string("default"), name;
	const struct pd_backup_actor *actor = NULL;

	pd_restore_take_apart(said, &tenant, &name);
	if (pd_slice_equal(tenant, pd_slice_string(selected->manifest->tenant)))
		actor = pd_backup_actors_find(selected->actors, name);
	if (actor == NULL)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"backup %s has no such actor: it has actors of tenant '%.100s', and 'perdure backup "
			"info' lists them",
			selected->manifest->id, selected->manifest->tenant);
	return pd_backup_actors_read(selected->actors, actor, take, context, err);
}

/* What goes with a whole directory only. NULL: nothing is wrong. */
static const char *contradiction(const struct pd_backup_given *given)
{
	if (!pd_backup_wants_actors(given))
		return "that backup is of some actors, of which no directory is made: say which (--all, "
		       "--match or --actor), and --into-server DIR or --directory DIR; or name a backup of "
		       "everything";
	if (given->at != NULL)
		return "that backup is of one moment: for another, name a backup of everything";
	if (given->archive != NULL || given->log != NULL)
		return "log goes on behind a backup of everything, and that one is of some actors: leave "
		       "--archive and --log out";
	return NULL;
}

static int check_tenant(const struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
			struct pd_error *err)
{
	const char *tenant = work->given.select.tenant;

	if (tenant == NULL || strcmp(tenant, manifest->tenant) == 0)
		return 0;
	return pd_error_set(err, PD_NOT_FOUND,
			    "backup %s has actors of tenant '%.100s', and none of '%.100s'", manifest->id,
			    manifest->tenant, tenant);
}

int pd_backup_restore_selected(struct pd_backup_work *work, const char *id)
{
	const char *wrong = contradiction(&work->given);
	struct pd_backup_manifest manifest;
	struct selected selected = { .manifest = &manifest };
	struct pd_bulk bulk = { .list = list, .fetch = fetch, .source = &selected };
	struct pd_error err = { 0 };
	int status, result;

	if (wrong != NULL)
		return pd_options_wrong(work->options, "%s", wrong);
	pd_backup_manifest_init(&manifest);
	result = pd_backup_manifest_get(work->repository, id, &manifest, &err);
	if (result == 0)
		result = check_tenant(work, &manifest, &err);
	if (result == 0)
		result = pd_backup_actors_open(work->repository, &manifest, NULL, &selected.actors, &err);
	status = result == 0 ? pd_backup_bulk_run(work, &bulk) : pd_backup_work_failed(work, result, &err);
	pd_backup_actors_close(selected.actors);
	pd_backup_manifest_done(&manifest);
	return status;
}

/* Damage in words: where, what, whose, and what to do. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "cli/log_private.h"

static uint64_t actor_at(const struct pd_log_damage *damage, size_t i)
{
	return pd_load_u64((const uint8_t *)damage->actors + i * sizeof(uint64_t));
}

static bool names_are_lost(const struct pd_log_damage *damage)
{
	for (size_t i = 0; i < damage->actor_count; i++)
		if (actor_at(damage, i) == 0)
			return true;
	return false;
}

static const char *advice(const struct pd_log_damage *damage)
{
	if (!pd_log_damage_loses(damage))
		return "No record is lost. Copy the data directory to a sound disk and check this one.";
	if (!damage->actors_known)
		return "Nothing tells whose records these are. Keep a copy of the data directory as it is, "
		       "check "
		       "the disk, and restore from a backup.";
	if (names_are_lost(damage))
		return "Names or idempotency keys are among what is lost. Keep a copy of the data directory "
		       "as "
		       "it is, check the disk, and restore from a backup.";
	return "Keep a copy of the data directory as it is, check the disk, and restore these actors from a "
	       "backup. A server sets them aside and serves all others.";
}

static void print_range(struct pd_output *output, const struct pd_log_damage *damage)
{
	if (!pd_log_damage_loses(damage))
		pd_output_text(output, "no record is concerned");
	else if (damage->last_lsn == 0)
		pd_output_text(output, "LSN %" PRIu64 " and after cannot be read", damage->first_lsn);
	else if (damage->last_lsn == damage->first_lsn)
		pd_output_text(output, "LSN %" PRIu64 " cannot be read", damage->first_lsn);
	else
		pd_output_text(output, "LSN %" PRIu64 " to %" PRIu64 " cannot be read", damage->first_lsn,
			       damage->last_lsn);
}

void pd_cli_log_damage_whose(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_log_damage *damage)
{
	if (!pd_log_damage_loses(damage))
		return;
	pd_output_text(output, damage->actors_known ? "; of " : "; of unknown actors");
	for (size_t i = 0; damage->actors_known && i < damage->actor_count; i++) {
		pd_output_text(output, i > 0 ? ", " : "");
		pd_cli_log_names_print(names, output, 0, actor_at(damage, i));
	}
}

void pd_cli_log_damage_print(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_log_sight *sight)
{
	const struct pd_log_damage *damage = &sight->damage;

	pd_output_text(output, "DAMAGE segment %010u, byte %" PRIu64, sight->segment, sight->offset);
	if (sight->size > 0)
		pd_output_text(output, " to %" PRIu64, sight->offset + sight->size - 1);
	pd_output_text(output, ": %s; ", damage->text);
	print_range(output, damage);
	pd_cli_log_damage_whose(names, output, damage);
	pd_output_text(output, ". %s\n", advice(damage));
}

void pd_cli_log_damage_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_log_sight *sight)
{
	const struct pd_log_damage *damage = &sight->damage;

	pd_output_number_field(output, "segment", sight->segment);
	pd_output_number_field(output, "offset", sight->offset);
	pd_output_number_field(output, "size", sight->size);
	pd_output_string_field(output, "what", damage->text);
	pd_output_bool_field(output, "records_lost", pd_log_damage_loses(damage));
	if (pd_log_damage_loses(damage)) {
		pd_output_number_field(output, "first_lsn", damage->first_lsn);
		if (damage->last_lsn != 0)
			pd_output_number_field(output, "last_lsn", damage->last_lsn);
		pd_output_bool_field(output, "actors_known", damage->actors_known);
		pd_output_open(output, "actors", '[');
		for (size_t i = 0; i < damage->actor_count; i++) {
			pd_output_open(output, NULL, '{');
			pd_cli_log_names_fields(names, output, 0, actor_at(damage, i));
			pd_output_close(output, '}');
		}
		pd_output_close(output, ']');
	}
	pd_output_string_field(output, "advice", advice(damage));
}

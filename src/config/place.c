#include "config/place.h"

#include "config/config.h"

struct pd_object_place pd_config_place(const struct pd_config *config, const char *address)
{
	if (config == NULL)
		return (struct pd_object_place){ .address = address };
	return (struct pd_object_place){
		.address = address,
		.s3_endpoint = pd_config_text(config, PD_SETTING_S3_ENDPOINT),
		.s3_region = pd_config_text(config, PD_SETTING_S3_REGION),
		.s3_style = pd_config_text(config, PD_SETTING_S3_STYLE),
		.s3_look_first = pd_config_on(config, PD_SETTING_S3_LOOK_FIRST),
		.s3_ca_file = pd_config_text(config, PD_SETTING_S3_CA_FILE),
		.s3_encryption = pd_config_text(config, PD_SETTING_S3_ENCRYPTION),
		.s3_kms_key = pd_config_text(config, PD_SETTING_S3_KMS_KEY),
	};
}

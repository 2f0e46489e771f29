// The properties of HubSpot's objects, by the names that n8n has for them, in the order in which they are sent.

import { NodeError } from "../errors.js";

export const CONTACT_FIELDS = {
  annualRevenue: "annualrevenue",
  city: "city",
  companyName: "company",
  companySize: "company_size",
  contactOwner: "hubspot_owner_id",
  country: "country",
  dateOfBirth: "date_of_birth",
  degree: "degree",
  facebookClickId: "hs_facebook_click_id",
  faxNumber: "fax",
  fieldOfStudy: "field_of_study",
  firstName: "firstname",
  gender: "gender",
  googleAdClickId: "hs_google_click_id",
  graduationDate: "graduation_date",
  industry: "industry",
  jobFunction: "job_function",
  jobTitle: "jobtitle",
  lastName: "lastname",
  leadStatus: "hs_lead_status",
  lifeCycleStage: "lifecyclestage",
  maritalStatus: "marital_status",
  message: "message",
  mobilePhoneNumber: "mobilephone",
  numberOfEmployees: "numemployees",
  phoneNumber: "phone",
  postalCode: "zip",
  prefferedLanguage: "hs_language",
  relationshipStatus: "relationship_status",
  salutation: "salutation",
  school: "school",
  seniority: "seniority",
  startDate: "start_date",
  stateRegion: "state",
  streetAddress: "address",
  twitterUsername: "twitterhandle",
  websiteUrl: "website",
  workEmail: "work_email",
  countryRegionCode: "hs_country_region_code",
  linkedinUrl: "hs_linkedin_url",
};

export const COMPANY_FIELDS = {
  name: "name",
  annualRevenue: "annualrevenue",
  city: "city",
  companyDomainName: "domain",
  companyOwner: "hubspot_owner_id",
  countryRegion: "country",
  description: "description",
  industry: "industry",
  linkedInCompanyPage: "linkedin_company_page",
  numberOfEmployees: "numberofemployees",
  phoneNumber: "phone",
  postalCode: "zip",
  stateRegion: "state",
  streetAddress: "address",
  websiteUrl: "website",
};

export const DEAL_FIELDS = {
  dealName: "dealname",
  dealOwner: "hubspot_owner_id",
  pipeline: "pipeline",
  amount: "amount",
  dealType: "dealtype",
  description: "description",
};

/** Return the list of properties with a value, and the ones of the tenant's own. `key`: what holds a property's name. */
export function propertiesOf(names, { customPropertiesUi, ...fields }, key) {
  const unknown = Object.keys(fields).find((field) => !(field in names));
  if (unknown) throw new NodeError(`The field '${unknown}' is not supported`);
  const known = Object.keys(names)
    .filter((field) => fields[field])
    .map((field) => ({ [key]: names[field], value: fields[field]?.value ?? fields[field] }));
  const custom = (customPropertiesUi?.customPropertiesValues ?? []).map(({ property, value }) => ({
    [key]: property,
    value,
  }));
  return [...known, ...custom];
}

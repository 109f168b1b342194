-- Which copy it is: the files that it comes from are marked with it, and are not copied anywhere else afterwards.
ALTER TABLE copying ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();

//! How bodies are declared: fields in wire order.

/// Declares body structs: each field with its kind and its meaning, TLVs last. `[tlvs]` if the standards give the PDU
/// any, `[no tlvs]` if not.
macro_rules! records {
    ($(
        $(#[$meta:meta])*
        $name:ident [$($tlvs:ident)+] { $($field:ident: $kind:ty = $doc:literal,)* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $(#[doc = $doc] pub $field: $kind,)*
            /// Optional parameters.
            pub tlvs: $crate::smpp::Tlvs,
        }

        impl $crate::smpp::pdu::Record for $name {
            fn read(
                reader: &mut $crate::smpp::field::Reader<'_>,
            ) -> Result<Self, $crate::smpp::field::FieldError> {
                Ok($name {
                    $($field: {
                        reader.field = stringify!($field);
                        $crate::smpp::field::Field::read(reader)?
                    },)*
                    tlvs: {
                        reader.field = "tlvs";
                        reader.has_tlvs = $crate::smpp::pdu::record::records!(@tlvs $($tlvs)+);
                        $crate::smpp::field::Field::read(reader)?
                    },
                })
            }

            fn length(&self) -> usize {
                use $crate::smpp::field::Field;
                0usize$(.saturating_add(self.$field.length()))*.saturating_add(self.tlvs.length())
            }

            fn write(&self, out: &mut $crate::smpp::field::Writer<'_>) {
                use $crate::smpp::field::Field;
                $(self.$field.write(out);)*
                self.tlvs.write(out);
            }
        }
    )*};
    (@tlvs tlvs) => { true };
    (@tlvs no tlvs) => { false };
}

pub(super) use records;

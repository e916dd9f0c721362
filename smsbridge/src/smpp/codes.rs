//! Open code spaces: a number with names for the known values.

/// Declares a newtype over a number with named constants; unknown values are kept.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident($int:ty, $width:literal) { $($constant:ident = $value:literal $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($value), "`: ", $label, ".")]
                pub const $constant: $name = $name($value);
            )*

            /// The name of a known value.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($constant)),)*
                    _ => None,
                }
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!("0x{:0", $width, "X}"), self.0),
                }
            }
        }
    };
}

pub(super) use codes;

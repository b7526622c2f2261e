//! A macro for structs that keep one value for each variant of an enum.
//!
//! Such a struct is indexed by the enum, so neither a wrong number nor a missing value compiles. An index is a
//! `match` on the enum: it needs no bounds check.

/// Defines a struct with one field for each variant of an enum, indexed by that enum.
macro_rules! per_variant {
    ($(#[$attribute:meta])* $map:ident by $key:ident { $($field:ident: $variant:ident,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $map<T> {
            $(
                #[doc = concat!("The value of [`", stringify!($key), "::", stringify!($variant), "`].")]
                pub $field: T,
            )+
        }

        impl<T> $map<T> {
            /// Calls `value` for each variant, in the order of declaration.
            pub fn from_fn(mut value: impl FnMut($key) -> T) -> Self {
                Self { $($field: value($key::$variant),)+ }
            }

            /// Returns each variant with its value, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = ($key, &T)> {
                [$(($key::$variant, &self.$field),)+].into_iter()
            }

            /// Returns each variant with its value to change, in the order of declaration.
            pub fn iter_mut(&mut self) -> impl Iterator<Item = ($key, &mut T)> {
                [$(($key::$variant, &mut self.$field),)+].into_iter()
            }
        }

        impl<T> std::ops::Index<$key> for $map<T> {
            type Output = T;

            fn index(&self, key: $key) -> &T {
                match key {
                    $($key::$variant => &self.$field,)+
                }
            }
        }

        impl<T> std::ops::IndexMut<$key> for $map<T> {
            fn index_mut(&mut self, key: $key) -> &mut T {
                match key {
                    $($key::$variant => &mut self.$field,)+
                }
            }
        }
    };
}

pub(super) use per_variant;

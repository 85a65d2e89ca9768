//! Parts of the JSON schema that derives cannot state.

use schemars::Schema;

/// Sets the maximum of both numbers of a pair in the schema: schemars has no attribute for the items of a tuple.
pub(crate) fn pair_maximum<const MAX: u32>(pair: &mut Schema) {
    let items = pair.get_mut("prefixItems").and_then(|items| items.as_array_mut());
    for item in items.into_iter().flatten().filter_map(|item| item.as_object_mut()) {
        item.insert("maximum".to_owned(), MAX.into());
    }
}
